"""A cloud, and settings for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.dataflow.cloud import Cloud, cloud
from tests.pipeline.dataflow.test_settings import GOOD


@pytest.fixture(scope="module")
def here() -> Iterator[Cloud]:
    """fake-gcs-server and a Dataflow that keeps what it is asked for."""
    with cloud() as found:
        yield found


@pytest.fixture(scope="module")
def settings_file(here: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of jobs there."""
    path = tmp_path_factory.mktemp("settings") / "dataflow.yaml"
    fields = GOOD | {
        "temp_location": "gs://tb-temp/dataflow",
        "staging_location": "gs://tb-staging/dataflow",
        "service_account": "worker@my-project.iam.gserviceaccount.com",
        "subnetwork": "regions/europe-west1/subnetworks/sub",
        "labels": "{team: data}",
        "workers": "2",
        "max_workers": "5",
        "endpoint": here.dataflow.url,
    }
    path.write_text("".join(f"{name}: {value}\n" for name, value in fields.items()))
    return path
