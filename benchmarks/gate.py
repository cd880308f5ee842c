"""What the ParityGate costs: its share of a run of the taxi data, and a million rows through checks 1 and 3.

    uv run python -m benchmarks.gate [--rows 1000000] [--output DIR]

First a whole run as `make run` does it, with the default sample, in a process of its own: CPU seconds of the component
ParityGate, servers' start included, beside those of all the rest of the process. Then, with the graph and the model of
that run, the trips repeated with jittered values (`benchmarks.ingest_to_transform`) until so many are in the eval
split, all of which are compared: CPU seconds of each check, in another process. Prints two Markdown tables. With
--output, the run is left there, and is not repeated if it is there already.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.ingest_to_transform import write_rows
from benchmarks.measure import Cost, measure

SCHEMA = Path("schema/taxi")
EVAL_SHARE = 0.98
"""Of the repeated trips, so that few are read and not compared."""
SHARE_FILE = "share.json"


class Clock:
    """Notes the CPU seconds of one component."""

    def __init__(self, component: str) -> None:
        self._component = component
        self.seconds = 0.0

    def plan(self, components: list[str]) -> None:
        pass

    def start(self, component: str) -> None:
        self._started = time.process_time()

    def finish(self, component: Any) -> None:
        if component.name == self._component:
            self.seconds = time.process_time() - self._started


def share(output: Path) -> None:
    """Runs the taxi data, and notes what the gate and the rest took."""
    from modules.spec import load_declaration
    from pipeline.local_run import RunSettings, run
    from pipeline.workspace import Workspace

    workspace, clock = Workspace(output), Clock("ParityGate")
    with workspace.hold():
        settings = RunSettings(
            load_declaration(SCHEMA / "features.yaml", []), SCHEMA / "schema.pbtxt", workspace, 0, 1, False
        )
        record, _ = run(settings, clock)
    checks = {check.name: check.compared for check in record.parity}
    found = {"gate": clock.seconds, "rest": time.process_time() - clock.seconds, "compared": sum(checks.values())}
    (output / SHARE_FILE).write_text(json.dumps(found))


def many(rows: int, output: Path, directory: Path) -> dict[str, float]:
    """Makes examples of repeated trips without a pipeline, and takes all of the eval split through checks 1 and 3."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from modules.made_with import raw_schema, saved_graph
    from modules.spec import SPLITS, load_declaration
    from pipeline.components.transform import TransformFile
    from pipeline.ingest.examples import example_files
    from pipeline.ingest.files import InputFile
    from pipeline.ingest.ingest import Ingest
    from pipeline.jobs.backfill import shards_for
    from pipeline.live.backfill import Backfill
    from pipeline.live.place import Place
    from pipeline.parity.exported import Exported
    from pipeline.parity.kept import kept
    from pipeline.parity.live import live_features
    from pipeline.parity.sample import sample
    from pipeline.parity.transformed import transformed_features
    from pipeline.transform_graph import form_of

    told = [f"split.eval={EVAL_SHARE}", "split.validation=0.01", "gate.rows=all"]
    declaration = load_declaration(SCHEMA / "features.yaml", told)
    trips = directory / "trips.csv"
    write_rows(trips, round(rows / EVAL_SHARE))
    file = InputFile(str(trips), "csv")
    events = [("trips", file), ("payments", file)]
    places = {name: directory / name for name in ("pieces", "values", "examples", "transformed", "scratch")}
    for place in places.values():
        place.mkdir()
    options = PipelineOptions(["--runner=FnApiRunner"])
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | Backfill(
            declaration, events, [file], str(places["pieces"]), str(places["values"]), shards_for([file, file])
        )
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | Ingest([file], declaration, str(places["examples"]), str(places["values"]))
    graph = _newest(output, "Transform", "transform_graph")
    raw = raw_schema(graph)
    transform = TransformFile(raw, form_of(raw, declaration), declaration, str(places["transformed"]))
    transform.setup()
    for example in example_files(str(places["examples"]), SPLITS):
        list(transform.process(example, saved_graph(graph)))

    began = time.process_time()
    every = sample(str(places["examples"]), declaration)
    before = kept(declaration, every, places["values"])
    seconds = {"sample": time.process_time() - began}
    began = time.process_time()
    fresh = Place(f"sqlite://{directory}/rows.db", "rows")
    live = live_features(declaration, every, before, events, fresh, places["scratch"])
    seconds["live features"] = time.process_time() - began
    began = time.process_time()
    model = Exported(_newest(output, "Trainer", "model") / "Format-Serving")
    transformed = transformed_features(declaration, every, str(places["transformed"]), model)
    seconds["transformed features"] = time.process_time() - began
    for check in (live, transformed):
        assert check.passed, check.sentence
    found = {"rows": len(every.ids), "answers": live.compared, "inputs": transformed.compared}
    return seconds | found


def _newest(output: Path, component: str, name: str) -> Path:
    return max((output / "artifacts" / component / name).iterdir(), key=lambda path: int(path.name))


def _alone(directory: Path, *arguments: str) -> Cost:
    """A part of this module in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.gate", *arguments]
    return measure(command, Path(__file__).parent.parent, directory, {"TF_CPP_MIN_LOG_LEVEL": "3"})


def _table(heads: list[str], cells: list[str]) -> None:
    for line in (heads, ["---"] * len(heads), cells):
        print("|", " | ".join(line), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--side", choices=["share", "many"])
    options = parser.parse_args()
    if options.side == "share":
        share(options.output)
        return
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        if options.side == "many":
            print(json.dumps(many(options.rows, options.output, directory)))
            return
        output = (options.output or directory / "build").absolute()
        if not (output / SHARE_FILE).exists():
            _alone(directory, "--side", "share", "--output", str(output))
        found = json.loads((output / SHARE_FILE).read_text())
        cells = [f"{found['compared']:,}", f"{found['gate']:.1f}", f"{found['rest']:.1f}"]
        heads = ["values compared", "gate, CPU s", "rest of the run, CPU s", "share of the rest"]
        _table(heads, [*cells, f"{found['gate'] / found['rest']:.2f}"])
        cost = _alone(directory, "--side", "many", "--output", str(output), "--rows", str(options.rows))
        found = json.loads(cost.out.splitlines()[-1])
        counts = [f"{found[name]:,}" for name in ("rows", "answers", "inputs")]
        times = [f"{found[name]:.1f}" for name in ("sample", "live features", "transformed features")]
        heads = ["rows", "answers of the stream compared, and as examples", "model inputs compared"]
        heads += ["read the sample, CPU s", "check 1, CPU s", "check 3, CPU s", "peak memory, MB"]
        _table(heads, [*counts, *times, f"{cost.peak_mb:,.0f}"])


if __name__ == "__main__":
    main()
