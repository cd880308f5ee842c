"""What every source does."""

import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modules.spec import SourceUnavailable
from pipeline.sources.source import EventBatch, Partition
from tests.pipeline.sources.feeds import COLUMNS, Feed, Files, KafkaFeed, PubSubFeed, source

FILES = ["csv", "jsonl", "parquet"]
SERVERS = ["pubsub", "kafka"]


@pytest.fixture
def feed(request: pytest.FixtureRequest, tmp_path: Path) -> Feed:
    if request.param in FILES:
        return Files(tmp_path, request.param)
    server = request.getfixturevalue(f"{request.param}_server")
    return PubSubFeed(server) if request.param == "pubsub" else KafkaFeed(server)


every_source = pytest.mark.parametrize("feed", FILES + SERVERS, indirect=True)
every_server = pytest.mark.parametrize("feed", SERVERS, indirect=True)


def events(first: int, count: int) -> list[dict[str, Any]]:
    now = time.time_ns() // 1000
    return [{"id": first + nth, "at": now + nth, "note": f"é{first + nth}"} for nth in range(count)]


def opened(feed: Feed, position: int = 0) -> Partition:
    [partition] = source(feed).partitions()
    return source(feed).open(partition, position)


def polled(partition: Partition, until: Callable[[list[EventBatch]], bool], size: int = 7) -> list[EventBatch]:
    """Batches until there is enough, at most for 30 seconds."""
    batches: list[EventBatch] = []
    end = time.monotonic() + 30
    while not until(batches):
        assert time.monotonic() < end
        batch = partition.poll(size)
        assert batch is not None
        assert len(batch.rows) + len(batch.broken) <= size
        batches.append(batch)
    return batches


def ids(batches: list[EventBatch]) -> list[int]:
    return [int(value) for batch in batches for value in batch.rows["id"].to_pylist()]


def count(number: int) -> Callable[[list[EventBatch]], bool]:
    return lambda batches: len(set(ids(batches))) >= number


def idle(batches: list[EventBatch]) -> bool:
    return bool(batches) and not len(batches[-1].rows) and not batches[-1].broken


@every_source
def test_every_event_comes_with_its_declared_columns(feed: Feed) -> None:
    fed = events(0, 40)
    feed.feed(fed)
    with opened(feed) as partition:
        batches = polled(partition, count(40))
    rows: dict[int, dict[str, Any]] = {}
    for batch in batches:
        assert batch.source == "trips"
        assert batch.rows.schema.names == list(COLUMNS)
        assert batch.ingest is None or batch.ingest.shape == (len(batch.rows),)
        assert batch.payloads is None or len(batch.payloads) == len(batch.rows)
        rows |= {int(row["id"]): row for row in batch.rows.to_pylist()}
    assert [(int(rows[event["id"]]["at"]), rows[event["id"]]["note"]) for event in fed] == [
        (event["at"], event["note"]) for event in fed
    ]


@every_source
def test_the_watermark_never_moves_back_and_never_passes_an_event_to_come(feed: Feed) -> None:
    with opened(feed) as partition:
        batches: list[EventBatch] = []
        for first in range(0, 30, 10):
            feed.feed(events(first, 10))
            batches += polled(partition, lambda more: count(10)(more) and idle(more), size=4)
    marks = [batch.watermark for batch in batches]
    assert marks == sorted(marks)
    ingested = [
        [int(at) for at in batch.rows["at"].to_pylist()] if batch.ingest is None else batch.ingest.tolist()
        for batch in batches
    ]
    for nth, mark in enumerate(marks):
        assert all(mark <= at for later in ingested[nth + 1 :] for at in later)
    if feed.server:  # when nothing comes, the watermark follows the clock
        assert time.time_ns() // 1000 - marks[-1] < 10_000_000
    else:
        assert marks[-1] == max(ingested[-2])


@every_source
def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(feed: Feed) -> None:
    feed.feed(events(0, 20))
    with opened(feed) as partition:
        done = polled(partition, count(8), size=4)
        partition.acknowledge(done)
        partition.acknowledge(done)
        polled(partition, count(8), size=4)
    position, acknowledged = done[-1].position, set(ids(done))
    feed.feed(events(20, 10))
    with opened(feed, position) as partition:
        rest = polled(partition, count(30 - len(acknowledged)))
        assert set(ids(rest)) == set(range(30)) - acknowledged
        partition.acknowledge(rest)
        position = rest[-1].position
    with opened(feed, position) as partition:
        assert ids(polled(partition, idle)) == []


@every_source
def test_what_is_no_event_is_reported_among_the_events(feed: Feed) -> None:
    if feed.broken is None:
        pytest.skip("every row of a Parquet file has its columns")
    feed.feed(events(0, 3), [feed.broken])
    feed.feed(events(3, 3))
    with opened(feed) as partition:
        batches = polled(partition, count(6), size=2)
        assert sorted(set(ids(batches))) == list(range(6))
        [broken] = [broken for batch in batches for broken in batch.broken]
        assert broken.payload == feed.broken
        assert broken.reason
        assert abs(broken.ingest - time.time_ns() // 1000) < 60_000_000
        partition.acknowledge(batches)
    with opened(feed, batches[-1].position) as partition:
        assert [batch.broken for batch in polled(partition, idle)] == [()]


@every_source
def test_it_survives_pickling(feed: Feed) -> None:
    feed.feed(events(0, 1))
    copy = pickle.loads(pickle.dumps(source(feed)))
    assert copy.name == "trips"
    with copy.open(copy.partitions()[0], 0) as partition:
        assert ids(polled(partition, count(1))) == [0]


@every_server
def test_a_server_that_is_down_is_said_to_be_and_can_come_back(feed: Feed) -> None:
    assert feed.server
    feed.feed(events(0, 3))
    with opened(feed) as partition:
        batches = polled(partition, lambda more: count(3)(more) and idle(more))
        partition.acknowledge(batches)
        feed.server.kill()
        try:
            before = time.time_ns() // 1000
            with pytest.raises(
                SourceUnavailable, match=r"^[^ ]*trips-[^ ]*: .* is down or slow: .* Check the network, or"
            ):
                polled(partition, lambda _: False)
            with pytest.raises(SourceUnavailable):
                partition.poll(7)
        finally:
            feed.restart()
        feed.feed(events(3, 3))
        after: list[EventBatch] = []
        end = time.monotonic() + 30
        while not count(3)(after):
            assert time.monotonic() < end
            try:
                after.append(partition.poll(7))  # type: ignore[arg-type]
            except SourceUnavailable:
                time.sleep(0.1)
    assert set(ids(after)) == {3, 4, 5}
    assert batches[-1].watermark <= before  # nobody knows what was ingested since
