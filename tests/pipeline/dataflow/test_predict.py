"""Batch prediction on files of a bucket, and handed to a Dataflow that does none of it."""

import io
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.prediction.predict import predict
from tests.pipeline.dataflow.cloud import BUCKETS, Cloud
from tests.pipeline.jobs import rides
from tests.pipeline.prediction.conftest import OVERRIDES, Place, asked, place, quick_disk, rides_model

__all__ = ["place", "quick_disk", "rides_model"]


def upload(here: Cloud, path: Path) -> str:
    here.storage.bucket("tb-data").blob(f"predict/{path.name}").upload_from_filename(path)
    return f"gs://tb-data/predict/{path.name}"


def test_a_prediction_in_a_bucket_is_that_of_a_directory(here: Cloud, place: Place, tmp_path: Path) -> None:
    requests = tmp_path / "requests.parquet"
    rides.write(requests, asked(place))
    events = {name: [upload(here, Path(path)) for path in paths] for name, paths in place.events.items()}
    output = "gs://tb-data/scored"
    remote = predict(place.declaration, place.model, upload(here, requests), output, events)
    local = predict(place.declaration, place.model, str(requests), tmp_path / "scored", place.events)
    assert remote.requests == remote.scored == len(asked(place))
    assert (remote.scored, remote.events) == (local.scored, local.events)
    names = [blob.name for blob in here.storage.list_blobs("tb-data", prefix="scored/")]
    assert names == ["scored/_SUCCESS", "scored/part-00000-00000.parquet"]
    found = pq.read_table(io.BytesIO(here.read(f"gs://tb-data/{names[1]}")))
    assert found.equals(pq.read_table(tmp_path / names[1]), check_metadata=True)
    assert found["score"].null_count == 0


def test_the_job_that_dataflow_is_asked_for(
    here: Cloud, place: Place, settings_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    requests = tmp_path / "asked.parquet"
    rides.write(requests, asked(place))
    built = tmp_path / "build"
    shutil.copytree(place.model, built / "serving_model" / place.declaration.dataset / "1")
    command = ["predict", "--runner", "dataflow", "--dataflow", str(settings_file), "--output", str(built)]
    overrides = [word for override in OVERRIDES for word in ("--set", override)]
    where = ["--features", str(tmp_path / "features.yaml"), *overrides, "--store", "redis://10.0.0.3"]
    done = CliRunner().invoke(
        app,
        [*command, *where, "--requests", upload(here, requests), "--to", "gs://tb-data/out"],
        catch_exceptions=False,
    )
    said = json.loads(capfd.readouterr().out)
    assert (done.exit_code, "the job ended without a report" in said["error"]) == (4, True), said
    [job] = here.dataflow.jobs
    assert job["name"] == f"{place.declaration.dataset}-predict"
    assert job["environment"]["workerPools"][0]["autoscalingSettings"]["maxNumWorkers"] == 5
    steps = {step.unique_name for step in here.pipeline(job).components.transforms.values()}
    assert any(step.startswith("LookUp") for step in steps)
    assert any("RunInference" in step or "Score" in step for step in steps)
    models = [blob.name for blob in here.storage.list_blobs("tb-temp") if blob.name.endswith("/saved_model.pb")]
    assert len(models) == 1
    assert here.buckets() == BUCKETS
