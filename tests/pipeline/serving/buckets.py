"""A server that answers as Google Cloud Storage does, with one bucket."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud.storage import Bucket, Client  # type: ignore[import-untyped]

from tests.conftest import ROOT
from tests.pipeline.stores.servers import Server

BUCKET = "models"


@contextlib.contextmanager
def bucket(directory: Path) -> Iterator[Bucket]:
    """While this holds, Google's client finds the bucket there."""
    program = shutil.which("fake-gcs-server") or ROOT / ".tools" / "fake-gcs-server"
    if not Path(program).exists():
        pytest.skip("fake-gcs-server is not installed (make .tools/fake-gcs-server, which needs Go)")
    server = Server(
        lambda port: [program, "-scheme=http", "-host=127.0.0.1", f"-port={port}", "-backend=memory",
                      f"-public-host=127.0.0.1:{port}"],
        directory,
    )  # fmt: skip
    server.start()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.port}")
        environment.setenv("GOOGLE_CLOUD_PROJECT", "tests")
        try:
            yield Client().create_bucket(BUCKET)
        finally:
            server.kill()
