"""The taxi model with 200 rows of its eval split, and the events around these."""

import csv
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0.schema_pb2 import Schema

import pipeline.parity.live as live_check
from modules.spec import Declaration
from pipeline.components.evaluator import CANDIDATE, SCORE, SCORES_DIR
from pipeline.ingest.files import InputFile, find_files
from pipeline.live.place import Place
from pipeline.parity.check import Check
from pipeline.parity.exported import Exported, named_inputs, taken
from pipeline.parity.gate import Material
from pipeline.parity.kept import kept
from pipeline.parity.live import live_features
from pipeline.parity.sample import Sample, sample
from pipeline.parity.server import Server, serving
from tests.artifacts import artifact, taxi
from tests.pipeline.jobs.conftest import bigtable, quick_disk, redis, url

__all__ = ["bigtable", "quick_disk", "redis", "url"]

ROWS = 200
_DAY = 86_400_000_000


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a gate is given."""

    declaration: Declaration
    material: Material
    sample: Sample
    """The last rows of the eval split."""
    trips: list[dict[str, str]]
    """The trips that their windows reach, as the data has them."""

    def events(self, directory: Path, shifted_s: int = 0) -> list[tuple[str, InputFile]]:
        """The trips as a file of both sources, their times shifted by so many seconds."""
        path = directory / "trips.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self.trips[0]))
            writer.writeheader()
            for trip in self.trips:
                time = int(trip["trip_start_timestamp"]) + shifted_s
                writer.writerow(trip | {"trip_start_timestamp": str(time)})
        return [(source, InputFile(str(path), "csv")) for source in ("trips", "payments")]


def whole_taxi(output: Path, *overrides: str) -> tuple[Declaration, Material]:
    """The taxi run, as the component gives it to the gate, with all trips as events."""
    declaration = taxi(f"gate.rows={ROWS}", *overrides)
    [file] = find_files(declaration.data)
    return declaration, Material(
        events=[("trips", file), ("payments", file)],
        examples=str(artifact(output, "ExampleGen", "examples")),
        live_values=str(artifact(output, "ExampleGen", "live_values")),
        schema=text_format.Parse((artifact(output, "CuratedSchema", "schema") / "schema.pbtxt").read_text(), Schema()),
        transform_graph=artifact(output, "Transform", "transform_graph"),
        transformed=str(artifact(output, "Transform", "transformed_examples")),
        model=artifact(output, "Trainer", "model") / "Format-Serving",
        scores=artifact(output, "Evaluator", "evaluation") / SCORES_DIR,
        score=SCORE[CANDIDATE],
    )


@pytest.fixture(scope="session")
def scene(taxi_run: Path) -> Scene:
    declaration, material = whole_taxi(taxi_run, "gate.rows=all")
    every = sample(material.examples, declaration)
    assert every.times is not None
    last = pa.array(np.sort(np.argsort(every.times.to_numpy(), kind="stable")[-ROWS:]))
    some = Sample(
        every.ids.take(last), {name: c.take(last) for name, c in every.columns.items()}, every.times.take(last)
    )
    first = int(every.times.to_numpy()[last].min()) - 33 * _DAY
    with open(material.events[0][1].path, newline="") as lines:
        trips = [row for row in csv.DictReader(lines) if int(row["trip_start_timestamp"]) * 1_000_000 >= first]
    return Scene(declaration, material, some, trips)


@pytest.fixture(scope="session")
def model(scene: Scene) -> Exported:
    return Exported(scene.material.model)


@pytest.fixture(scope="session")
def server(scene: Scene) -> Iterator[Server]:
    """The model, served; it has answered three single rows, and all at once."""
    inputs = named_inputs(scene.declaration, scene.sample)
    with serving(scene.material.model, "taxi") as server:
        for rows in ([0], [1], [2], range(len(scene.sample.ids))):
            server.by_grpc(taken(inputs, np.array(rows)))
        yield server


Streams = Callable[..., Check]


@pytest.fixture
def streamed(scene: Scene, tmp_path: Path, quick_disk: None, monkeypatch: pytest.MonkeyPatch) -> Streams:
    """Check 1 of the scene, with another declaration, sample, seed, shift of the events, or store; with few pauses."""
    monkeypatch.setattr(live_check, "_MOST_PAUSES", 12)

    def streams(
        declaration: Declaration = scene.declaration,
        rows: Sample = scene.sample,
        seed: int = 1,
        shifted_s: int = 0,
        place: Place | None = None,
    ) -> Check:
        scratch = tmp_path / f"{seed}"
        scratch.mkdir()
        events = scene.events(tmp_path, shifted_s)
        found = kept(declaration, rows, Path(scene.material.live_values))
        here = place or Place(f"sqlite://{scratch}/rows.db", "rows")
        return live_features(declaration, rows, found, events, here, scratch, seed)

    return streams
