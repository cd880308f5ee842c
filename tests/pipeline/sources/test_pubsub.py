import time
from collections.abc import Iterator

import pytest
from google.cloud.pubsub_v1 import SubscriberClient  # type: ignore[import-untyped]

from modules.spec import InputError
from pipeline.dead_letters import DeadLetter, open_dead_letters
from pipeline.sources.pubsub import PubSub
from pipeline.sources.source import Partition
from pipeline.sources.urls import open_source, open_topic
from tests.pipeline.sources.feeds import COLUMNS, PubSubFeed, source
from tests.pipeline.sources.servers import Server


@pytest.fixture
def feed(pubsub_server: Server) -> PubSubFeed:
    return PubSubFeed(pubsub_server, "?lease=10s")


@pytest.fixture
def partition(feed: PubSubFeed) -> Iterator[Partition]:
    with source(feed).open("subscription", 0) as opened:
        yield opened


def ids(partition: Partition, until: int, size: int = 1000) -> set[int]:
    found: set[int] = set()
    end = time.monotonic() + 20
    while len(found) < until and time.monotonic() < end:
        batch = partition.poll(size)
        assert batch
        found |= {int(value) for value in batch.rows["id"].to_pylist()}
    return found


def events(count: int) -> list[dict[str, int]]:
    return [{"id": number, "at": 1} for number in range(count)]


def test_a_poll_is_filled_by_several_pulls(feed: PubSubFeed, partition: Partition) -> None:
    feed.feed(events(350))
    batch = partition.poll(300)
    assert batch
    assert len(batch.rows) == 300  # the emulator gives at most 100 a pull
    assert len(batch.receipts) == len(set(batch.receipts)) == 300
    assert batch.position == 0
    assert batch.ingest is not None
    assert abs(batch.ingest - time.time_ns() // 1000).max() < 30_000_000
    partition.acknowledge([batch])
    assert len(ids(partition, 50)) == 50


def test_after_a_crash_it_comes_again_when_the_lease_ends_and_not_before(feed: PubSubFeed) -> None:
    feed.feed(events(5))
    crashed = source(feed).open("subscription", 0)
    assert len(ids(crashed, 5)) == 5  # and neither acknowledges nor closes
    began = time.monotonic()
    with source(feed).open("subscription", 0) as partition:
        assert ids(partition, 5) == set(range(5))
    assert 7 < time.monotonic() - began < 19


def test_leases_are_renewed_while_it_is_polled(
    feed: PubSubFeed, partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.feed(events(5))
    assert ids(partition, 5) == set(range(5))
    asked = []
    monkeypatch.setattr(partition, "_lease", lambda receipts, seconds: asked.append((len(receipts), seconds)))
    partition.poll(1)
    assert asked == []
    shift = 6.0
    monkeypatch.setattr("pipeline.sources.pubsub.time.monotonic", lambda before=time.monotonic: before() + shift)
    partition.poll(1)
    assert asked == [(5, 10.0)]
    partition.poll(1)
    assert len(asked) == 1


def test_the_watermark_is_the_least_publish_time_while_messages_come(feed: PubSubFeed, partition: Partition) -> None:
    feed.feed(events(3))
    time.sleep(2.5)
    feed.feed(events(3))
    before = time.time_ns() // 1000
    batch = partition.poll(100)
    assert batch
    assert batch.ingest is not None
    assert batch.watermark == batch.ingest.min() < before - 2_000_000
    partition.acknowledge([batch])
    empty = partition.poll(100)
    assert empty
    assert before - 2_000_000 <= empty.watermark <= time.time_ns() // 1000 - 2_000_000


def test_what_does_not_exist_is_an_error_to_mend(pubsub_server: Server) -> None:
    with (
        open_source("trips", "pubsub://twinbeam/nowhere", COLUMNS, "at", None).open("subscription", 0) as partition,
        pytest.raises(
            InputError, match=r"^projects/twinbeam/subscriptions/nowhere: Pub/Sub refuses: .* Make it, correct"
        ),
    ):
        partition.poll(1)
    topic = open_topic("pubsub://twinbeam/nowhere")
    with pytest.raises(InputError, match=r"^projects/twinbeam/topics/nowhere: Pub/Sub refuses: "):
        open_dead_letters("pubsub://twinbeam/nowhere").write([DeadLetter("trips", "late", "", b"x", None, None)])
    topic.close()


def test_dead_letters_in_a_topic(feed: PubSubFeed) -> None:
    letter = DeadLetter("trips", "late", "2 s too late", b"\xff", 1, 2)
    dead = open_dead_letters(feed.topic)
    dead.write([letter])
    dead.close()
    with SubscriberClient() as client:
        name = f"projects/twinbeam/subscriptions/{feed.topic.rpartition('/')[2]}-reader"
        [received] = client.pull(subscription=name, max_messages=10).received_messages
    assert DeadLetter.from_json(received.message.data.decode()) == letter
    assert dict(received.message.attributes) == {"key": letter.identity}


@pytest.mark.parametrize("lease", ["9s", "11m", "60"])
def test_a_lease_that_pubsub_does_not_take(lease: str) -> None:
    with pytest.raises(InputError, match=rf"the option lease: read '{lease}'; accepted: a duration from 10s to 10m"):
        open_source("trips", f"pubsub://project/name?lease={lease}", COLUMNS, "at", None)


def test_it_has_one_partition() -> None:
    found = open_source("trips", "pubsub://project/name", COLUMNS, "at", None)
    assert isinstance(found, PubSub)
    assert found.partitions() == ["subscription"]
