"""An empty place for rows in a store of each kind, and brokers."""

from pathlib import Path

import pytest

from modules.spec import Declaration
from pipeline.live.place import Place
from tests.pipeline.live.rides import declare
from tests.pipeline.sources.conftest import kafka_server, pubsub_server
from tests.pipeline.stores.conftest import bigtable, redis, url

__all__ = ["bigtable", "kafka_server", "pubsub_server", "redis", "url"]


@pytest.fixture
def declaration(tmp_path: Path) -> Declaration:
    return declare(tmp_path)


@pytest.fixture
def place(url: str, declaration: Declaration) -> Place:
    """In a store of each kind."""
    return Place(url, declaration.features_fingerprint)


@pytest.fixture
def here(tmp_path: Path, declaration: Declaration) -> Place:
    """In a SQLite file."""
    return Place(f"sqlite://{tmp_path}/here.db", declaration.features_fingerprint)


@pytest.fixture
def wanted(tmp_path: Path, declaration: Declaration) -> Place:
    """Where a test merges what it expects."""
    return Place(f"sqlite://{tmp_path}/wanted.db", declaration.features_fingerprint)
