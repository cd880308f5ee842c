"""The command with real processes: what it says, what it leaves, and what becomes of it when something ends.

That SIGTERM ends it with 0 and leaves nobody is asserted where `running` is stopped.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.live.place import Place
from pipeline.stores.store import Register
from pipeline.up.replay import Replay
from tests.pipeline.cli.trips import finish, wait_for
from tests.pipeline.up.city import City, area
from tests.pipeline.up.conftest import Running, children, gone, started


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> City:
    """A city for tests that start and stop it."""
    return City.make(tmp_path_factory.mktemp("own"))


@contextlib.contextmanager
def killed(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """It does not live on if a test fails; what it started is killed with it."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(done: Callable[[], bool]) -> None:
    """Waits, for a minute at most."""
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.05)


@pytest.mark.slow
def test_each_step_is_told_in_a_line_with_where_it_is(running: Running, city: City) -> None:
    steps = [line.split()[1] for line in running.said.splitlines() if line.startswith("done")]
    assert steps == ["Replay", "Store", "Model", "Stream", "Gateway"]
    before = f"sqlite://{city.output}/up/online.db, "
    assert before in running.said
    assert f" events before {Replay.of(city.declaration, 5.0).since}\n" in running.said
    for name in ("model-server", "stream", "serve"):
        assert f"  {city.output}/logs/up/{name}.log\n" in running.said
    assert sorted(running.children.values()) == ["model-server", "serve", "stream"]


@pytest.mark.slow
def test_the_replay_goes_on(running: Running) -> None:
    def given() -> list[int]:
        status = running.status()
        return [each["given"] for each in status["sources"]]

    first = running.status()
    assert not first["ended"]
    wait_until(lambda: min(given()) > 0)
    assert running.status()["clock"] > first["clock"]


@pytest.mark.slow
def test_the_replay_s_clock_is_the_time_of_a_request_that_has_none(running: Running) -> None:
    row = {"rider": 0, "area": area(0), "amount": 12.5}
    before = running.status()["clock"]
    [prediction] = httpx.post(f"{running.page}/v1/predict", json={"requests": [row]}, timeout=30).json()["predictions"]
    assert before <= prediction["time"] <= running.status()["clock"]
    assert prediction["live"]["rides_5m"]["status"] == "known"
    assert not prediction["stale"]


def _without_as_of(document: dict[str, Any]) -> dict[str, Any]:
    """A reply without how far the stream is, which changes all the time."""
    for each in (document, *document.get("predictions", [])):
        each.pop("as_of", None)
    return document


@pytest.mark.slow
def test_what_the_page_s_server_answers_is_what_the_gateway_answers(running: Running, city: City) -> None:
    time = Replay.of(city.declaration, 5.0).since
    body = {"requests": [{"rider": 0, "area": area(0), "amount": 12.5, "at": time}]}
    key = "a%2C0%2F%3Ci%3E%20%26%20100%25"
    for path, sent in [(f"/v1/features/rides/area/{key}?time={time}", None), ("/v1/predict", body)]:
        answers = [
            httpx.request("POST" if sent else "GET", f"{where}{path}", json=sent, timeout=30)
            for where in (running.page, running.gateway)
        ]
        assert answers[0].status_code == 200, answers[0].text
        through, there = (_without_as_of(answer.json()) for answer in answers)
        assert through == there
        assert through["live" if sent is None else "predictions"]
    refused = httpx.post(f"{running.page}/v1/predict", content=b"{", timeout=30)
    assert refused.status_code == 415


@pytest.mark.slow
def test_two_at_once_are_one_too_many(running: Running, city: City) -> None:
    second = finish(city.up())
    assert second.exit_code == 8
    assert f"error: {city.output}: another `twinbeam up` is running here. Stop it, or name another" in second.out
    taken = finish(city.up("--port", running.page.rpartition(":")[2]))
    assert taken.exit_code == 4
    assert "Address already in use. Name another port, or 0 for a free one." in taken.out
    assert not running.status()["problem"]


@pytest.mark.slow
def test_started_again_it_begins_again_and_lives_as_long_as_all_that_should(own: City) -> None:
    with killed(own.up("--store", own.store)) as process:
        wait_until(lambda: "bootstrap" in children(process.pid).values())
        begun = children(process.pid)
        assert finish(process, signal.SIGINT).exit_code == 130
        assert gone(begun)

    replay = Replay.of(own.declaration, 1e6)
    with killed(own.up("--store", own.store, "--speed", "1e6")) as process:
        running = started(process)
        wait_until(lambda: running.status()["ended"])
        status = running.status()
        assert {each["name"]: each["given"] for each in status["sources"]} == replay.events
        assert [each["to_come"] for each in status["sources"]] == [0, 0]
        assert status["share"] == 1
        answer = httpx.get(f"{running.page}/v1/features/rides/rider/0", timeout=30)
        assert answer.json()["live"]["rides_5m"]["status"] == "known"
        lives = running.children
        assert sorted(lives.values()) == ["model-server", "serve"]
        os.kill(next(pid for pid, name in lives.items() if name == "serve"), signal.SIGKILL)
        ended = finish(process)
        assert ended.exit_code == 1
        assert f"error: serve was killed by SIGKILL. The end of {own.output}/logs/up/serve.log:\n  " in ended.out
        assert '"route": "/v1/features/' in ended.out
        assert gone(lives)


@pytest.mark.slow
def test_killed_itself_it_leaves_nobody_behind(own: City) -> None:
    """Its store was filled by a start before, and a stream; that is no hindrance."""
    with killed(own.up("--store", own.store, "--speed", "5")) as process:
        wait_for(process, "done   Store")
        wait_until(lambda: "serve" in children(process.pid).values())
        lives = children(process.pid)
        assert sorted(lives.values()) == ["model-server", "serve", "stream"]
        process.kill()
        try:
            wait_until(lambda: gone(lives))
        finally:
            for pid in lives:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


# What it refuses, before anything is started.


def test_without_a_model_it_says_how_to_get_one(city: City, tmp_path: Path) -> None:
    ended = finish(city.up("--output", tmp_path / "none"))
    assert ended.exit_code == 9
    assert f"{tmp_path}/none/serving_model/rides: no model has been pushed here. Run `make run` first;" in ended.out
    assert not (tmp_path / "none").exists()


def test_rows_that_something_else_put_there_are_left_alone(own: City) -> None:
    url = f"sqlite://{own.directory}/production.db"
    with Place(url, own.declaration.features_fingerprint).open() as store:
        store.advance([Register("rides", "files", 5, 5)])
        ended = finish(own.up("--store", url))
        assert ended.exit_code == 4
        assert f"{url}: holds live features of this declaration that `twinbeam up` did not put there" in ended.out
        assert [register.position for register in store.registers()] == [5]


def test_a_store_that_is_away(own: City) -> None:
    ended = finish(own.up("--store", "redis://127.0.0.1:1/0"))
    assert ended.exit_code == 10
    assert ended.out.splitlines()[-1].startswith("error: redis://127.0.0.1:1")


@pytest.mark.parametrize("option", [("--speed", "0"), ("--speed", "nan"), ("--port", "65536"), ("--port", "-1")])
def test_wrong_options(city: City, option: tuple[str, str]) -> None:
    assert finish(city.up(*option)).exit_code == 2
