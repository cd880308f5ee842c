"""An empty store of each kind."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.stores.urls import drop_namespace, list_namespaces
from tests.pipeline.stores.servers import Server, bigtable_emulator, redis_server

_NUMBER = itertools.count()


@pytest.fixture(scope="session")
def redis() -> Iterator[Server]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def bigtable() -> Iterator[Server]:
    with bigtable_emulator() as server:
        yield server


@pytest.fixture(params=["sqlite", "redis", "bigtable"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store in which there is nothing."""
    match request.param:
        case "sqlite":
            return f"sqlite://{tmp_path}/live.db"
        case "redis":
            url = f"redis://127.0.0.1:{request.getfixturevalue('redis').port}/0"
            for namespace in list_namespaces(url):
                drop_namespace(url, namespace)
            return url
        case _:
            request.getfixturevalue("bigtable")
            return f"bigtable://project/instance/table{next(_NUMBER)}"
