"""Each kind of source with a way to write events to it, so that one test body serves all."""

import csv
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient  # type: ignore[import-untyped]

from modules.spec import Typed
from pipeline.sources.source import EventSource
from pipeline.sources.topic import Message
from pipeline.sources.urls import open_source, open_topic
from tests.pipeline.sources.servers import Server

COLUMNS = {"id": Typed(type="int"), "at": Typed(type="timestamp", unit="us"), "note": Typed(type="string")}
_names = itertools.count(1)


class Feed(Protocol):
    """An empty source of its own, and what it is fed."""

    url: str
    server: Server | None
    broken: bytes | None
    """What is no event; None: there is nothing that is not one."""

    def feed(self, events: Sequence[dict[str, Any]], broken: Sequence[bytes] = ()) -> None:
        """Writes events; each has a column that is not declared."""
        ...

    def restart(self) -> None:
        """Starts the server again, after it was killed."""
        ...


def source(feed: Feed) -> EventSource:
    return open_source("trips", feed.url, COLUMNS, "at", None)


class Files:
    """A growing directory, a file at a time."""

    server: Server | None = None

    def __init__(self, directory: Path, suffix: str) -> None:
        self._directory, self._suffix, self._count = directory, suffix, itertools.count()
        self.url = f"file://{directory}?follow=true"
        self.broken = {"csv": b"1,2", "jsonl": b"no", "parquet": None}[suffix]

    def feed(self, events: Sequence[dict[str, Any]], broken: Sequence[bytes] = ()) -> None:
        rows = [{"id": None, "at": None, "note": None, "more": "x", **event} for event in events]
        path = self._directory / f"{next(self._count):06}.{self._suffix}"
        partial = path.with_suffix(".partial")
        if self._suffix == "parquet":
            types = pa.schema([("id", pa.int64()), ("at", pa.int64()), ("note", pa.string()), ("more", pa.string())])
            pq.write_table(pa.Table.from_pylist(rows, types), partial)
        else:
            with partial.open("w", newline="") as file:
                if self._suffix == "csv":
                    csv.writer(file).writerows([["id", "at", "note", "more"], *(row.values() for row in rows)])
                else:
                    file.writelines(json.dumps(row) + "\n" for row in rows)
                file.writelines(payload.decode() + "\n" for payload in broken)
        partial.rename(path)

    def restart(self) -> None:
        raise NotImplementedError


class PubSubFeed:
    """A topic and a subscription of the emulator, which forgets them when it is killed."""

    broken: bytes | None = b"no"

    def __init__(self, server: Server, options: str = "") -> None:
        self.server: Server | None = server
        name = f"trips-{next(_names)}"
        self.topic = f"pubsub://twinbeam/{name}"
        self.url = f"pubsub://twinbeam/{name}-reader{options}"
        self._make()

    def _make(self) -> None:
        name = self.topic.rpartition("/")[2]
        topic, subscription = f"projects/twinbeam/topics/{name}", f"projects/twinbeam/subscriptions/{name}-reader"
        PublisherClient().create_topic(name=topic)
        with SubscriberClient() as client:
            client.create_subscription(name=subscription, topic=topic, ack_deadline_seconds=10)

    def feed(self, events: Sequence[dict[str, Any]], broken: Sequence[bytes] = ()) -> None:
        send(self.topic, events, broken)

    def restart(self) -> None:
        assert self.server
        self.server.start()
        self._make()


class KafkaFeed:
    """A topic."""

    broken: bytes | None = b"no"

    def __init__(self, server: Server, partitions: int = 1, config: dict[str, str] | None = None) -> None:
        self.server: Server | None = server
        self.name = f"trips-{next(_names)}"
        self.url = f"kafka://{server.address}/{self.name}"
        topic = NewTopic(self.name, partitions, config=config or {})
        self.admin = AdminClient({"bootstrap.servers": server.address})
        self.admin.create_topics([topic])[self.name].result()

    def feed(self, events: Sequence[dict[str, Any]], broken: Sequence[bytes] = ()) -> None:
        send(self.url, events, broken)

    def restart(self) -> None:
        assert self.server
        self.server.start()


def send(url: str, events: Sequence[dict[str, Any]], broken: Sequence[bytes] = ()) -> None:
    topic = open_topic(url)
    payloads = [json.dumps({**event, "more": ["x"]}).encode() for event in events]
    topic.send([Message(payload) for payload in [*payloads, *broken]])
    topic.close()
