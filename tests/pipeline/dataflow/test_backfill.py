"""The backfill on files of a bucket, and handed to a Dataflow that does none of it."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud import dataflow
from typer.testing import CliRunner

from modules.spec import InputError, OutputError
from pipeline.cli.main import app
from pipeline.ingest.files import find_files
from pipeline.jobs.backfill import backfill
from tests.pipeline.dataflow.cloud import BUCKETS, Cloud
from tests.pipeline.live.rides import Event, declare, payments, rides

EVENTS: dict[str, Sequence[Event]] = {
    "rides": [ride | {"good": 1} for ride in rides(60)],
    "payments": payments(rides(60)),
}


@pytest.fixture(scope="module")
def bucket(here: Cloud) -> dict[str, list[str]]:
    """Where each source's events are: half of them in each of two files."""
    places = {}
    for name, events in EVENTS.items():
        for half in (0, 1):
            content = "".join(json.dumps(event) + "\n" for event in events[half::2])
            here.storage.bucket("tb-data").blob(f"{name}/{half}.jsonl").upload_from_string(content)
        places[name] = [f"gs://tb-data/{name}"]
    return places


def test_files_of_a_bucket_are_found_as_those_of_a_directory_are(bucket: dict[str, list[str]]) -> None:
    both = ["gs://tb-data/rides/0.jsonl", "gs://tb-data/rides/1.jsonl"]
    assert [file.path for file in find_files("gs://tb-data/rides/")] == both
    assert [file.path for file in find_files("gs://tb-data/*/[01].jsonl")] == [
        "gs://tb-data/payments/0.jsonl", "gs://tb-data/payments/1.jsonl", *both
    ]  # fmt: skip
    assert [file.path for file in find_files("gs://tb-data/rides/1.jsonl")] == both[1:]
    assert [file.path for file in find_files("gs://tb-data/rides/{SPAN}.jsonl", spans=1)] == both[1:]
    with pytest.raises(InputError, match="gs://tb-data/nothing: no such file or directory"):
        find_files("gs://tb-data/nothing")
    with pytest.raises(InputError, match="s3://bucket/x: cannot be listed"):
        find_files("s3://bucket/x")


def test_a_backfill_in_a_bucket_is_that_of_a_directory(
    here: Cloud, bucket: dict[str, list[str]], tmp_path: Path
) -> None:
    declaration = declare(tmp_path)
    output = "gs://tb-data/out"
    account = backfill(declaration, bucket, None, output, shards=2)
    names = [blob.name for blob in here.storage.list_blobs("tb-data", prefix="out/")]
    assert names == ["out/_SUCCESS", "out/part-00000-00000.parquet", "out/part-00001-00000.parquet"]
    local = {}
    for name, places in bucket.items():
        local[name] = [str(tmp_path / name)]
        (tmp_path / name).mkdir()
        for file in find_files(places[0]):
            (tmp_path / name / Path(file.path).name).write_bytes(here.read(file.path))
    assert backfill(declaration, local, None, tmp_path / "out", shards=2) == account
    for name in names[1:]:
        found = pq.read_table(io.BytesIO(here.read(f"gs://tb-data/{name}")))
        assert found.equals(pq.read_table(tmp_path / name), check_metadata=True)
        assert isinstance(found, pa.Table)
        assert len(found) == 30
    with pytest.raises(OutputError, match="gs://tb-data/out: there is something already"):
        backfill(declaration, bucket, None, output)


def submit(settings_file: Path, features: Path, *arguments: str) -> int:
    """`twinbeam backfill --runner dataflow`, which prints past Python's own output; the exit code."""
    command = ["backfill", "--runner", "dataflow", "--dataflow", str(settings_file), "--features", str(features)]
    return CliRunner().invoke(app, [*command, *arguments, "--json"], catch_exceptions=False).exit_code


def test_the_job_that_dataflow_is_asked_for(
    here: Cloud, bucket: dict[str, list[str]], settings_file: Path, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    declare(tmp_path)
    events = [word for name, places in bucket.items() for word in ("--events", f"{name}={places[0]}")]
    code = submit(settings_file, tmp_path / "features.yaml", *events, "--output", "gs://tb-data/computed")
    said = capfd.readouterr().out
    assert (code, "the job ended without a report" in said) == (4, True), (
        said
    )  # for this Dataflow does nothing and calls it done
    [job] = here.dataflow.jobs
    environment = job["environment"]
    [pool] = environment["workerPools"]
    assert (job["name"], job["type"]) == ("rides-backfill", dataflow.JobType.JOB_TYPE_BATCH)
    assert job["labels"] == {"team": "data"}
    assert {"use_runner_v2", "shuffle_mode=service"} <= set(environment["experiments"])
    assert environment["tempStoragePrefix"].startswith("storage.googleapis.com/tb-temp/dataflow/rides-backfill.")
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 5
    assert pool["workerHarnessContainerImage"].endswith("twinbeam/stream:0.1.0")
    steps = {step.unique_name for step in here.pipeline(job).components.transforms.values()}
    assert {"Backfill/ReadEvents/ParDo(_ReadEvents)", "Backfill/Shards", "Backfill/Answer/ParDo(_Answer)"} <= steps
    assert "workflow.tar.gz" in here.staged(job)
    assert list(here.storage.list_blobs("tb-data", prefix="computed/")) == []  # nothing says that it is complete
    assert here.buckets() == BUCKETS


@pytest.mark.parametrize(
    ("events", "output", "message"),
    [
        ("rides.jsonl", "gs://tb-data/x", "rides.jsonl: workers of Dataflow do not reach it"),
        ("gs://tb-data/rides", "out", "out: workers of Dataflow do not reach it"),
    ],
)
def test_files_of_this_machine_are_refused_before_anything_is_submitted(
    bucket: dict[str, list[str]], here: Cloud, settings_file: Path, tmp_path: Path, events: str, output: str,
    message: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    declare(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rides.jsonl").write_text("".join(json.dumps(event) + "\n" for event in EVENTS["rides"]))
    asked = len(here.dataflow.jobs)
    places = ["--events", f"rides={events}", "--events", f"payments={bucket['payments'][0]}"]
    assert submit(settings_file, tmp_path / "features.yaml", *places, "--output", output) == 4
    assert message in capfd.readouterr().out
    assert len(here.dataflow.jobs) == asked
