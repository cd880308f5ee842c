"""Stores and sources that are down, slow or full: the job waits, goes on, and loses nothing."""

import contextlib
import functools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import redis as redis_client

from modules.spec import Declaration, StoreUnavailable
from pipeline.jobs.stream import sources_of, stream
from pipeline.live.control import Control, Counts
from pipeline.live.metrics import RETRIES
from pipeline.live.place import Place
from pipeline.live.retry import patiently
from pipeline.stores.store import Register
from tests.pipeline.live.rides import Event, Rows, merged, payments, rides, write
from tests.pipeline.stores.servers import Server, redis_server

_LONG_S = 60.0


@pytest.fixture
def events() -> dict[str, list[Event]]:
    return {"rides": rides(3_000), "payments": payments(rides(3_000))}


@contextlib.contextmanager
def streaming(
    tmp_path: Path, declaration: Declaration, place: Place, events: dict[str, list[Event]]
) -> Iterator["Future[Counts]"]:
    """The job in a thread; it has begun to merge."""
    urls = {name: write(tmp_path / f"{name}.jsonl", some) for name, some in events.items()}
    with ThreadPoolExecutor() as threads:
        job = threads.submit(
            stream, declaration, sources_of(declaration, urls), place, f"{tmp_path}/dead", batch_events=50
        )
        eventually(lambda: job.done() or any(register.position for register in registers(place)))
        assert not job.done()
        yield job


def _retried(since: float) -> bool:
    return retries() > since + 1


def registers(place: Place) -> list[Register]:
    with place.open() as store:
        return list(store.registers())


def eventually(happens: Callable[[], bool]) -> None:
    until = time.monotonic() + _LONG_S
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.01)


def retries() -> float:
    return float(RETRIES.labels("store")._value.get())


def assert_nothing_lost(
    declaration: Declaration, place: Place, wanted: Place, events: dict[str, list[Event]], counts: Counts
) -> None:
    assert counts.events == sum(map(len, events.values()))
    merged(declaration, events, wanted)
    assert Rows.of(declaration, place, events) == Rows.of(declaration, wanted, events)


@pytest.mark.slow
def test_redis_that_is_silent_killed_and_full(
    tmp_path: Path, declaration: Declaration, wanted: Place, events: dict[str, list[Event]]
) -> None:
    with redis_server("--appendonly", "yes") as server:
        place = Place(f"redis://127.0.0.1:{server.port}/0", "a")
        client = redis_client.Redis(port=server.port)
        with streaming(tmp_path, declaration, place, events) as job:
            for trouble in (lambda: server.paused(), lambda: killed(server), lambda: full(client)):
                before = retries()
                with trouble():
                    eventually(functools.partial(_retried, before))
                    assert not job.done()
            counts = job.result(_LONG_S)
        assert_nothing_lost(declaration, place, wanted, events, counts)


@contextlib.contextmanager
def killed(server: Server) -> Iterator[None]:
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextlib.contextmanager
def full(client: "redis_client.Redis") -> Iterator[None]:
    client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        client.config_set("maxmemory", 0)


@pytest.mark.slow
def test_sqlite_that_another_process_holds(
    tmp_path: Path, declaration: Declaration, here: Place, wanted: Place, events: dict[str, list[Event]]
) -> None:
    before = retries()
    with streaming(tmp_path, declaration, here, events) as job:
        with contextlib.closing(sqlite3.connect(here.url.removeprefix("sqlite://"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            eventually(lambda: retries() > before)
            assert not job.done()
            other.execute("COMMIT")
        counts = job.result(_LONG_S)
    assert_nothing_lost(declaration, here, wanted, events, counts)


def test_waits_grow_and_end_when_the_job_is_drained() -> None:
    draining, attempts = threading.Event(), [0]

    def attempt() -> None:
        attempts[0] += 1
        if attempts[0] == 3:
            threading.Timer(0.01, draining.set).start()
        raise StoreUnavailable("it is down")

    with pytest.raises(StoreUnavailable, match="it is down"):
        patiently(attempt, Control(draining=draining))
    assert attempts[0] == 4  # one last attempt


def test_what_is_there_again_is_used() -> None:
    results = iter([StoreUnavailable("once"), StoreUnavailable("twice"), None])

    def attempt() -> str:
        if error := next(results):
            raise error
        return "done"

    before = retries()
    assert patiently(attempt) == "done"
    assert retries() == before + 2
