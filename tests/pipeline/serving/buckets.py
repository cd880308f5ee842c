"""A server that answers as Google Cloud Storage does, with one bucket."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud.storage import Bucket, Client  # type: ignore[import-untyped]

from tests.go_tools import fake_gcs_server
from tests.pipeline.stores.servers import Server

BUCKET = "models"


@contextlib.contextmanager
def bucket(directory: Path) -> Iterator[Bucket]:
    """While this holds, Google's client finds the bucket there."""
    program = fake_gcs_server()
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
