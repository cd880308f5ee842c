"""Ingest, statistics and transform beside stock CsvExampleGen, StatisticsGen and Transform, at 150,000 rows and more.

    uv run python -m benchmarks.ingest_to_transform [--rows 150000 1500000]

The rows are the 15,002 trips, repeated with jittered values, made for this benchmark alone. Both sides read the same
CSV file, on the same runner, each in a process of its own. The stock side runs the preprocessing_fn of the official
Chicago taxi example, ours that of `schema/taxi` without its live features, which stock TFX does not have. Prints one
Markdown table; CPU seconds of each component, imports left out.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from benchmarks.measure import measure

COMPONENTS = ("ExampleGen", "StatisticsGen", "Transform")


def example(name: str) -> Path:
    """A file of the official example."""
    spec = importlib.util.find_spec("tfx")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], "examples", "chicago_taxi_pipeline", name)


def write_rows(path: Path, rows: int) -> None:
    """The trips, repeated; times, amounts and distances are jittered so that no two rows are the same."""
    trips = pyarrow.csv.read_csv(example("data/simple/data.csv"))
    random = np.random.default_rng(1)
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")  # stock reads no quoted header
    with path.open("wb") as file, pyarrow.csv.CSVWriter(file, trips.schema, write_options=options) as writer:
        file.write((",".join(trips.column_names) + "\n").encode())
        for start in range(0, rows, len(trips)):
            part = trips.slice(0, min(len(trips), rows - start))
            for name, step in (("trip_start_timestamp", 900), ("fare", 0.05), ("trip_miles", 0.1)):
                at = part.schema.get_field_index(name)
                jitter = random.integers(0, 1000, len(part)) * step
                values = part[name].to_numpy() + jitter
                values = np.round(values, 2) if name != "trip_start_timestamp" else values
                part = part.set_column(at, name, pa.array(values, part.schema.field(name).type))
            writer.write_table(part)


class Enough(Exception):
    """Raised to end a run after Transform."""


class Clock:
    """Notes the CPU seconds of each component, and ends the run after Transform."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def plan(self, components: list[str]) -> None:
        pass

    def start(self, component: str) -> None:
        if len(self.seconds) == len(COMPONENTS):
            raise Enough
        self._started = time.process_time()

    def finish(self, component: Any) -> None:
        name = component.name.replace("Csv", "")
        if name in COMPONENTS:
            self.seconds[name] = time.process_time() - self._started


def ours(csv: Path, directory: Path) -> dict[str, float]:
    """`twinbeam run --data CSV`, up to Transform."""
    from modules.spec import load_declaration
    from pipeline.local_run import RunSettings, run
    from pipeline.workspace import Workspace

    schema = Path("schema/taxi")
    declaration = load_declaration(schema / "features.yaml", [f"data={json.dumps(str(csv))}", "live=null"])
    clock = Clock()
    workspace = Workspace(directory)
    with workspace.hold():
        try:
            run(RunSettings(declaration, schema / "schema.pbtxt", workspace, 0, 1, False), clock)
        except Enough:
            return clock.seconds
    raise AssertionError("the run went on after Transform")


def stock(csv: Path, directory: Path) -> dict[str, float]:
    """The first components of the official example, in its order."""
    from tfx import v1 as tfx

    from pipeline.orchestration.local_runner import LocalRunner

    examples = tfx.components.CsvExampleGen(input_base=str(csv.parent))
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"])
    schema = tfx.components.SchemaGen(statistics=statistics.outputs["statistics"], infer_feature_shape=True)
    transform = tfx.components.Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="tfx.examples.chicago_taxi_pipeline.taxi_utils_native_keras.preprocessing_fn",
    )
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="stock",
        pipeline_root=str(directory),
        components=[examples, statistics, schema, transform],
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(directory / "metadata.db")
        ),
        beam_pipeline_args=["--runner=FnApiRunner"],
    )
    clock = Clock()
    LocalRunner("stock", clock.start, clock.finish).run(pipeline)
    return clock.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[150_000, 1_500_000])
    parser.add_argument("--side", choices=["ours", "stock"])
    parser.add_argument("paths", type=Path, nargs="*")
    options = parser.parse_args()
    if options.side:
        side = {"ours": ours, "stock": stock}[options.side]
        print(json.dumps(side(*options.paths)))
        return
    print("| rows | side | " + " | ".join(COMPONENTS) + " | together, CPU s | peak memory, MB | stock over ours |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as directory:
            csv = Path(directory, "csv", "trips.csv")
            csv.parent.mkdir()
            write_rows(csv, rows)
            together = {}
            for name in ("ours", "stock"):
                output = Path(directory, name)
                output.mkdir()
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.ingest_to_transform",
                    "--side",
                    name,
                    str(csv),
                    str(output),
                ]
                cost = measure(command, Path(__file__).parent.parent, output, {"TF_CPP_MIN_LOG_LEVEL": "3"})
                seconds = json.loads(cost.out.splitlines()[-1])
                together[name] = sum(seconds.values())
                ratio = f"{together['stock'] / together['ours']:.1f}" if name == "stock" else ""
                cells = [f"{rows:,}", name, *(f"{seconds[component]:.1f}" for component in COMPONENTS)]
                print(
                    "|", " | ".join([*cells, f"{together[name]:.1f}", f"{cost.peak_mb:,.0f}", ratio]), "|", flush=True
                )


if __name__ == "__main__":
    main()
