"""The streaming job's Flex Template: its metadata and spec as Google's own client reads them, and its launch."""

import json
from pathlib import Path

from google.cloud.dataflow import AutoscalingAlgorithm, ContainerSpec, StreamingMode, TemplateMetadata

from pipeline.cli import stream_template
from pipeline.engines.dataflow import load_settings
from pipeline.live.place import Place
from pipeline.live.shards import may_advance
from tests.conftest import ROOT
from tests.pipeline.dataflow.cloud import BUCKETS, Cloud
from tests.pipeline.dataflow.test_settings import written
from tests.pipeline.live.rides import declare
from tests.pipeline.stores.servers import redis_server


def test_the_metadata_file_is_that_of_the_commands_options() -> None:
    file = ROOT / "deploy" / "dataflow" / "metadata.json"
    assert json.loads(file.read_text()) == stream_template.metadata(), "python -m pipeline.cli.stream_template mends it"


def test_googles_client_reads_the_metadata() -> None:
    read = TemplateMetadata.from_json(json.dumps(stream_template.metadata()))
    assert (read.streaming, read.supports_at_least_once, read.default_streaming_mode) == (True, True, "AT_LEAST_ONCE")
    names = {parameter.name: parameter.is_optional for parameter in read.parameters}
    assert {name for name, optional in names.items() if not optional} == {"source", "store", "dead_letters"}
    assert set(names) >= {"features", "set", "batch_events", "shards"}


def test_googles_client_reads_the_spec(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, workers="2", max_workers="8", labels="{team: data}"))
    read = ContainerSpec.from_json(stream_template.spec(settings))
    environment = read.default_environment
    assert read.image == environment.sdk_container_image == settings.image
    assert read.metadata.streaming
    assert (environment.num_workers, environment.max_workers) == (2, 8)
    assert environment.autoscaling_algorithm == AutoscalingAlgorithm.AUTOSCALING_ALGORITHM_BASIC
    assert environment.streaming_mode == StreamingMode.STREAMING_MODE_AT_LEAST_ONCE
    assert environment.temp_location == settings.temp_location
    assert dict(environment.additional_user_labels) == {"team": "data"}


def test_a_launch_writes_the_job_where_the_launcher_says(here: Cloud, tmp_path: Path) -> None:
    declaration = declare(tmp_path)
    with redis_server() as server:
        place = Place(f"redis://127.0.0.1:{server.port}", declaration.features_fingerprint)
        stream_template.launch(
            [
                f"--features={tmp_path}/features.yaml",
                "--source=rides=pubsub://my-project/rides payments=pubsub://my-project/payments",
                f"--store={place.url}",
                "--dead_letters=pubsub://my-project/dead",
                "--shards=16",
                # What Dataflow's launcher adds.
                "--job_name=from-template",
                "--project=my-project",
                "--region=europe-west1",
                "--temp_location=gs://tb-temp/dataflow",
                "--staging_location=gs://tb-staging/dataflow",
                "--template_location=gs://tb-staging/launched/job_object",
                "--sdk_container_image=europe-docker.pkg.dev/my-project/twinbeam/stream:0.1.0",
                f"--dataflow_endpoint={here.dataflow.url}",
                "--no_auth",
            ]
        )
        with place.open() as store:
            assert store.marks()[may_advance("from-template")]
    assert [job["name"] for job in here.dataflow.jobs] == []  # Dataflow makes it of what is written
    job = json.loads(here.read("gs://tb-staging/launched/job_object"))
    assert job["name"] == "from-template"
    staged = here.staged(job)
    assert {"pipeline.pb", "workflow.tar.gz"} <= set(staged)
    reads = [
        step for step in here.pipeline(job).components.transforms.values() if step.spec.urn.endswith("pubsub_read:v1")
    ]
    assert len(reads) == 2
    assert here.buckets() == BUCKETS
