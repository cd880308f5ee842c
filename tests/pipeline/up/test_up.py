"""The command with real processes: what it says, what it leaves, and what becomes of it when something ends."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.live.place import Place
from pipeline.stores.store import Register
from pipeline.up.replay import Replay
from tests.pipeline.cli.trips import finish, wait_for
from tests.pipeline.up.city import City
from tests.pipeline.up.conftest import children, gone, started, wait_until


@contextlib.contextmanager
def killed(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """It does not live on if a test fails; what it started is killed with it."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_started_again_it_begins_again_and_lives_as_long_as_all_that_should(city: City) -> None:
    with killed(city.up("--store", city.store)) as process:
        wait_until(lambda: "bootstrap" in children(process.pid).values())
        begun = children(process.pid)
        assert finish(process, signal.SIGINT).exit_code == 130
        assert gone(begun)

    replay = Replay.of(city.declaration, 1e6)
    with killed(city.up("--store", city.store, "--speed", "1e6")) as process:
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
        assert f"error: serve was killed by SIGKILL. The end of {city.output}/logs/up/serve.log:\n  " in ended.out
        assert '"route": "/v1/features/' in ended.out
        assert gone(lives)


@pytest.mark.slow
def test_killed_itself_it_leaves_nobody_behind(city: City) -> None:
    """Its store was filled by a start before, and a stream; that is no hindrance."""
    with killed(city.up("--store", city.store, "--speed", "5")) as process:
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


def test_rows_that_something_else_put_there_are_left_alone(city: City) -> None:
    url = f"sqlite://{city.directory}/production.db"
    with Place(url, city.declaration.features_fingerprint).open() as store:
        store.advance([Register("rides", "files", 5, 5)])
        ended = finish(city.up("--store", url))
        assert ended.exit_code == 4
        assert f"{url}: holds live features of this declaration that `twinbeam up` did not put there" in ended.out
        assert [register.position for register in store.registers()] == [5]


def test_a_store_that_is_away(city: City) -> None:
    ended = finish(city.up("--store", "redis://127.0.0.1:1/0"))
    assert ended.exit_code == 10
    assert ended.out.splitlines()[-1].startswith("error: redis://127.0.0.1:1")


@pytest.mark.parametrize("option", [("--speed", "0"), ("--speed", "nan"), ("--port", "65536"), ("--port", "-1")])
def test_wrong_options(city: City, option: tuple[str, str]) -> None:
    assert finish(city.up(*option)).exit_code == 2
