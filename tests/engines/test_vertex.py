"""The pipeline for Vertex AI, run as Vertex AI does: from a bucket of rows to a version in a bucket of models."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from google.cloud.storage import Bucket  # type: ignore[import-untyped]
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from modules.spec import load_declaration
from pipeline.orchestration.compiled import vertex
from pipeline.orchestration.container import mounted
from tests.engines.orchestrator import RUN, Orchestrator, Processes
from tests.pipeline.cli.trips import DATASET, real_trips, write_csv
from tests.pipeline.orchestration.clusters import VERTEX
from tests.pipeline.serving.buckets import bucket

DAYS = ("2024-02-28", "2024-02-29", "2024-03-01")
LIVE = (
    'data="gs://rows/trips-{YYYY}-{MM}-{DD}.csv"',
    "spans=2",
    "live.sources.rides={time: trip_start_timestamp, lateness: 5m}",
    "live.features.rides_1d={source: rides, key: [payment_type], aggregation: count, window: 1d, delay: 15m, "
    "transform: {name: scale}}",
)


def compiled(*overrides: str) -> Any:
    """The PipelineSpec."""
    declaration = load_declaration(DATASET / "features.yaml", overrides)
    body = json.loads(vertex(declaration, DATASET / "schema.pbtxt", 0, VERTEX))
    return json_format.ParseDict(body["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Bucket]:
    with bucket(tmp_path) as found:
        yield found


@pytest.mark.slow
def test_from_rows_to_a_version(served: Bucket, tmp_path: Path) -> None:
    rows = mounted("gs://rows", tmp_path)
    rows.mkdir(parents=True)
    for number, day in enumerate(DAYS):
        write_csv(real_trips()[number :: len(DAYS)], rows / f"trips-{day}.csv")
    spec = compiled(*LIVE)
    run = Orchestrator(spec, tmp_path, VERTEX.pipeline_root)
    done = dict(run.run())
    assert set(done.values()) == {0}
    assert done.keys() == spec.root.dag.tasks.keys()

    artifacts = mounted(VERTEX.pipeline_root, tmp_path) / RUN
    summary = json.loads((artifacts / "ExampleGen" / "examples" / "summary.json").read_text())
    assert sum(summary["rows"].values()) == 400, "the rows of the two latest days"
    checks = json.loads((artifacts / "ParityGate" / "blessing" / "checks.json").read_text())
    assert checks[0]["name"] == "live features"
    assert all(check["passed"] and check["compared"] for check in checks)
    provenance = json.loads(served.blob("trips/1/assets.extra/provenance.json").download_as_text())
    assert provenance["run_id"] == RUN
    assert served.blob("trips/1/saved_model.pb").exists()

    # What the next run's Baseline finds, and what it is for.
    [blessing] = run.outputs["Evaluator"]["blessing"].artifacts
    [model] = run.outputs["Trainer"]["model"].artifacts
    assert blessing.metadata["blessed"] == 1
    assert blessing.metadata["current_model_id"] == model.name
    run.outputs["Baseline-model-resolver"]["baseline_model"].artifacts.append(model)
    assert run.task("Evaluator") == 0
    table = pq.read_table(artifacts / "Evaluator" / "evaluation" / "scores")
    assert table.column("baseline_score").equals(table.column("score"))


def test_a_container_is_a_process(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = Processes(compiled('data="gs://nowhere/rows.csv"'), tmp_path, str(tmp_path))
    assert run.task("CuratedSchema") == 0
    assert (tmp_path / RUN / "CuratedSchema" / "schema" / "schema.pbtxt").exists()
    assert run.task("ExampleGen") == 4
    assert "error: /gcs/nowhere/rows.csv: no such file or directory." in capfd.readouterr().err
    assert not (tmp_path / RUN / "ExampleGen").exists(), "nothing is left of what failed"
