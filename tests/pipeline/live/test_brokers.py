"""The job behind a broker: killed, drained, two at once."""

import contextlib
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from google.cloud.pubsub_v1 import SubscriberClient  # type: ignore[import-untyped]

from modules.spec import Declaration
from pipeline.dead_letters import LetterDirectory
from pipeline.live.place import Place
from tests.pipeline.live.lives import Life, living
from tests.pipeline.live.rides import BROKEN, SECOND, Event, Rows, declare, merged, rides
from tests.pipeline.sources.feeds import Feed, KafkaFeed, PubSubFeed
from tests.pipeline.sources.servers import Server

_LONG_S = 90.0


@pytest.fixture
def declaration(tmp_path: Path) -> Declaration:
    """Slots stay open for longer than a lease."""
    return declare(tmp_path, *_SLACK)


_SLACK = ("live.sources.rides.slack=2m", "live.sources.rides.lateness=10m", "live.sources.payments.slack=2m")


def fed(feed: Feed, count: int) -> list[Event]:
    """Rides of just now, and one message that is none."""
    now = int(time.time()) * SECOND
    events = rides(count, begin=now - 120 * SECOND, apart=60 * SECOND // count)
    feed.feed(events, [BROKEN])
    return events


def arguments(directory: Path, place: Place, feed: Feed, idle: Feed) -> list[str]:
    return [
        "stream", f"--features={directory}/features.yaml", *(f"--set={override}" for override in _SLACK),
        f"--store={place.url}", f"--dead-letters={directory}/dead", "--batch-events=100",
        f"--source=rides={feed.url}", f"--source=payments={idle.url}",
    ]  # fmt: skip


def until(happens: Callable[[], bool], process: Life) -> None:
    deadline = time.monotonic() + _LONG_S
    while not happens():
        assert time.monotonic() < deadline
        assert not process.over
        time.sleep(0.1)


def same(declaration: Declaration, place: Place, wanted: Place, events: list[Event]) -> bool:
    with contextlib.suppress(AssertionError):  # a row is not there yet
        return Rows.of(declaration, place, {"rides": events}) == Rows.of(declaration, wanted, {"rides": events})
    return False


def left(feed: PubSubFeed) -> int:
    """How many messages nobody has acknowledged, of those that nobody holds."""
    project, _, subscription = feed.url.removeprefix("pubsub://").partition("?")[0].partition("/")
    with SubscriberClient() as client:
        path = client.subscription_path(project, subscription)
        pulled = client.pull(subscription=path, max_messages=1000, return_immediately=True)
        return len(pulled.received_messages)


def pubsub_feeds(request: pytest.FixtureRequest) -> tuple[Feed, Feed]:
    server = request.getfixturevalue("pubsub_server")
    return PubSubFeed(server, "?lease=10s"), PubSubFeed(server)


def kafka_feeds(request: pytest.FixtureRequest) -> tuple[Feed, Feed]:
    server = request.getfixturevalue("kafka_server")
    return KafkaFeed(server, partitions=3), KafkaFeed(server)


@pytest.mark.slow
@pytest.mark.parametrize("feeds", [pubsub_feeds, kafka_feeds])
def test_killed_many_times_then_drained(
    tmp_path: Path,
    declaration: Declaration,
    here: Place,
    wanted: Place,
    feeds: Callable[[pytest.FixtureRequest], tuple[Feed, Feed]],
    request: pytest.FixtureRequest,
) -> None:
    feed, idle = feeds(request)
    events = fed(feed, 1_500)
    merged(declaration, {"rides": events}, wanted)
    chance, log, kills = random.Random(2), tmp_path / "log", 0
    for _ in range(6):
        kills += Life(arguments(tmp_path, here, feed, idle), log).kill_after(chance.uniform(0.5, 2.5))
    assert kills == 6
    with living(arguments(tmp_path, here, feed, idle), log) as last:
        until(lambda: (tmp_path / "dead").exists() and same(declaration, here, wanted, events), last)
        last.terminate()
        assert last.end() == 0, log.read_text()
    assert same(declaration, here, wanted, events)
    assert LetterDirectory(f"{tmp_path}/dead").counts() == {("rides", "unparsable"): 1}


@pytest.mark.slow
def test_two_jobs_drained_in_the_middle_have_acknowledged_what_they_wrote_and_nothing_else(
    tmp_path: Path, declaration: Declaration, here: Place, wanted: Place, pubsub_server: Server
) -> None:
    feed, idle = PubSubFeed(pubsub_server, "?lease=10s"), PubSubFeed(pubsub_server)
    events = fed(feed, 3_000)
    merged(declaration, {"rides": events}, wanted)
    log = tmp_path / "log"
    command = arguments(tmp_path, here, feed, idle)
    with living(command, log) as one, living(command, log) as other:
        until(lambda: bool(_rows(here)), one)
        for job in (one, other):
            job.terminate()
        assert [one.end(), other.end()] == [0, 0], log.read_text()
    assert left(feed) > 0
    assert not same(declaration, here, wanted, events)
    with living(command, log) as one, living(command, log) as other:
        until(lambda: (tmp_path / "dead").exists() and same(declaration, here, wanted, events), one)
        for job in (one, other):
            job.terminate()
        assert [one.end(), other.end()] == [0, 0], log.read_text()
    assert left(feed) == 0
    assert same(declaration, here, wanted, events)


def _rows(place: Place) -> int:
    with place.open() as store:
        return store.size()[0]
