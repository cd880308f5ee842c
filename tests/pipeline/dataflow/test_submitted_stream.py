"""The streaming job handed to a Dataflow that does none of it: what it and its workers are given. Nothing is run."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.portability.api import beam_runner_api_pb2
from google.cloud import dataflow
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.live.place import Place
from pipeline.live.shards import may_advance
from tests.pipeline.dataflow import unpacked
from tests.pipeline.dataflow.cloud import BUCKETS, Cloud, Json
from tests.pipeline.live.rides import declare
from tests.pipeline.stores.servers import redis_server

DEAD = "pubsub://my-project/dead"
STREAMS = ["--source", "rides=pubsub://my-project/rides", "--source", "payments=pubsub://my-project/payments"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with redis_server() as server:
        declaration = declare(tmp_path_factory.mktemp("rides"))
        yield Place(f"redis://127.0.0.1:{server.port}", declaration.features_fingerprint)


def stream(settings_file: Path, place: Place, features: Path, *more: str) -> tuple[int, str]:
    """`twinbeam stream --runner dataflow`: exit code and output."""
    command = ["stream", "--runner", "dataflow", "--dataflow", str(settings_file), "--features", str(features)]
    done = CliRunner().invoke(app, [*command, "--store", place.url, *more], catch_exceptions=False)
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("declared")
    declare(directory)
    return directory / "features.yaml"


@pytest.fixture(scope="module")
def submitted(here: Cloud, settings_file: Path, place: Place, features: Path) -> Json:
    """The job that Dataflow was asked for."""
    code, said = stream(settings_file, place, features, *STREAMS, "--dead-letters", DEAD, "--shards", "8")
    assert code == 0, said
    assert json.loads(said.splitlines()[-1]) == {"job": "job-1", "name": "rides-stream"}
    [job] = here.dataflow.jobs
    return job


def test_the_jobs_environment_is_that_of_the_settings(submitted: Json, here: Cloud) -> None:
    environment = submitted["environment"]
    [pool] = environment["workerPools"]
    assert submitted["type"] == dataflow.JobType.JOB_TYPE_STREAMING
    assert submitted["labels"] == {"team": "data"}
    assert environment["serviceAccountEmail"] == "worker@my-project.iam.gserviceaccount.com"
    assert environment["tempStoragePrefix"].startswith("storage.googleapis.com/tb-temp/dataflow/rides-stream.")
    assert {"use_runner_v2", "enable_streaming_engine", "enable_windmill_service"} <= set(environment["experiments"])
    assert environment["serviceOptions"] == ["streaming_mode_at_least_once"]
    assert environment["version"]["job_type"] == "FNAPI_STREAMING"
    image = "europe-docker.pkg.dev/my-project/twinbeam/stream:0.1.0"
    assert (pool["workerHarnessContainerImage"], pool["machineType"], pool["numWorkers"]) == (image, "n2-standard-4", 2)
    assert [each["containerImage"] for each in pool["sdkHarnessContainerImages"]] == [image]
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 5
    assert pool["subnetwork"] == "regions/europe-west1/subnetworks/sub"
    assert pool["ipConfiguration"] == dataflow.WorkerIPAddressConfiguration.WORKER_IP_PRIVATE
    assert here.buckets() == BUCKETS  # Beam made none of its own


def test_the_pipeline_reads_the_subscriptions_and_groups_by_shard(submitted: Json, here: Cloud) -> None:
    components = here.pipeline(submitted).components
    steps = {step.unique_name: step for step in components.transforms.values()}
    read = {
        name: beam_runner_api_pb2.PubSubReadPayload.FromString(step.spec.payload)
        for name, step in steps.items()
        if step.spec.urn == "beam:transform:pubsub_read:v1"
    }
    assert {name: (each.subscription, each.with_attributes) for name, each in read.items()} == {
        f"Stream/Read {name}/Read": (f"projects/my-project/subscriptions/{name}", True)
        for name in ("rides", "payments")
    }
    for name in ("rides", "payments"):
        [grouped] = steps[f"Stream/Merge {name}/Shards"].inputs.values()
        windowing = components.windowing_strategies[components.pcollections[grouped].windowing_strategy_id]
        assert windowing.output_time == beam_runner_api_pb2.OutputTime.EARLIEST_IN_PANE
        [delay] = windowing.trigger.repeat.subtrigger.after_processing_time.timestamp_transforms
        assert delay.delay.delay_millis == 1000
        assert components.pcollections[grouped].is_bounded == beam_runner_api_pb2.IsBounded.UNBOUNDED


def test_a_worker_has_all_it_needs_from_the_staged_package(submitted: Json, here: Cloud, tmp_path: Path) -> None:
    staged = here.staged(submitted)
    with tarfile.open(fileobj=io.BytesIO(staged["workflow.tar.gz"])) as archive:
        archive.extractall(tmp_path, filter="data")
    [package] = tmp_path.iterdir()
    assert {path.name for path in package.iterdir() if path.is_dir()} == {
        "modules", "pipeline", "schema", "twinbeam.egg-info"
    }  # fmt: skip
    (tmp_path / "pipeline.pb").write_bytes(staged["pipeline.pb"])
    script = Path(unpacked.__file__)
    command = [sys.executable, str(script), str(tmp_path / "pipeline.pb"), str(package)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {"ShardMessages", "MergeShard", "AdvanceRegister"} <= set(said["dofns"])
    assert {path.startswith(str(package)) for path in said["ours"].values()} == {True}
    assert said["heavy"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--store", "sqlite://live.db"], "--store sqlite://live.db: workers do not reach it"),
        (["--dead-letters", "dead"], "--dead-letters dead: workers do not reach it"),
        (["--source", "rides=file:///x"], "--source rides: on Dataflow, accepted: pubsub://PROJECT/SUBSCRIPTION"),
        (["--source", "rides=pubsub://p/s?lease=20s"], "the option lease is Dataflow's own business there"),
        (["--job-name", "Rides"], "--job-name Rides: accepted: up to 63 of a-z, 0-9 and -"),
        (["--update", "--job-name", "nobody"], "no job nobody is running in my-project, europe-west1"),
    ],
)
def test_what_workers_cannot_reach_is_refused_before_anything_is_submitted(
    here: Cloud, settings_file: Path, place: Place, features: Path, arguments: list[str], message: str
) -> None:
    asked = len(here.dataflow.jobs)
    streams = STREAMS[2:] if "--source" in arguments else STREAMS
    code, said = stream(settings_file, place, features, "--dead-letters", DEAD, *streams, *arguments)
    assert (code, message in said) == (4, True), said
    assert len(here.dataflow.jobs) == asked


@pytest.mark.parametrize("option", ["--update", "--shards=3", "--job-name=x", "--dataflow=x.yaml"])
def test_what_is_for_dataflow_is_refused_elsewhere(option: str) -> None:
    done = CliRunner().invoke(app, ["stream", option])
    assert (done.exit_code, "these go with --runner dataflow" in done.output) == (2, True), done.output


def test_the_job_may_move_registers_until_it_is_drained(
    submitted: Json, here: Cloud, settings_file: Path, place: Place, features: Path
) -> None:
    def mark() -> str:
        with place.open() as store:
            return store.marks()[may_advance("rides-stream")]

    begun = mark()
    assert begun
    command = ["--dataflow", str(settings_file), "--features", str(features), "--store", place.url]
    more = [*STREAMS, "--dead-letters", DEAD]

    code, said = stream(settings_file, place, features, *more, "--update")
    assert (code, json.loads(said.splitlines()[-1])["replaces"]) == (0, "job-1"), said
    assert here.dataflow.jobs[-1]["replaceJobId"] == "job-1"
    assert mark() == begun  # the new one goes on, and the old one too if Dataflow finds them incompatible

    here.dataflow.refuses = "there is a job of this name"
    code, said = stream(settings_file, place, features, *more)
    told = said.splitlines()[-1]
    assert (code, told.partition(": ")[2].partition(": ")[0]) == (4, "Dataflow refuses the job rides-stream")
    assert told.endswith(": there is a job of this name")
    here.dataflow.refuses = ""
    assert mark() == begun

    done = CliRunner().invoke(app, ["dataflow", "drain", *command])
    assert done.exit_code == 0, done.output
    assert mark() == ""  # before Dataflow was asked
    assert here.dataflow.updates[-1][0] == "job-1"
    assert here.dataflow.updates[-1][1]["requestedState"] == dataflow.JobState.JOB_STATE_DRAINING
