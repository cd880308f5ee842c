"""A store of each kind, and a disk that need not be waited for."""

import sqlite3

import pytest

from pipeline.stores import sqlite
from tests.pipeline.stores.conftest import bigtable, redis, url

__all__ = ["bigtable", "redis", "url"]


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite leaves it to the system when to flush: what is shown is not what a power cut leaves."""
    connect = sqlite._connect

    def connected(uri: str) -> sqlite3.Connection:
        connection = connect(uri)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    monkeypatch.setattr(sqlite, "_connect", connected)
