"""A small dataset, and one `twinbeam up` on it."""

import contextlib
import dataclasses
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Run
from tests.pipeline.cli.trips import finish, wait_for
from tests.pipeline.up.city import City


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    """Look at it, and do not change it; one test at a time starts something in its output directory."""
    return City.make(tmp_path_factory.mktemp("a city"))


@dataclasses.dataclass(frozen=True)
class Running:
    """A `twinbeam up` that answers."""

    process: "subprocess.Popen[str]"
    said: str
    page: str
    """The page's URL."""

    @property
    def gateway(self) -> str:
        """The gateway's URL."""
        [url] = re.findall(r"(http://127\.0\.0\.1:\d+)/docs", self.said)
        return str(url)

    @property
    def children(self) -> dict[int, str]:
        """The processes that it has started and that live, and the command of each."""
        return children(self.process.pid)

    def status(self) -> Any:
        """What the page shows of the stream."""
        return httpx.get(f"{self.page}/status", timeout=30).raise_for_status().json()


def started(process: "subprocess.Popen[str]") -> Running:
    """What it is, once it answers."""
    lines = wait_for(process, "Ctrl-C")
    [url] = re.findall(r"^page +(http://127\.0\.0\.1:\d+)$", "".join(lines), re.MULTILINE)
    return Running(process, "".join(lines), url)


def children(parent: int) -> dict[int, str]:
    """The processes with this parent, zombies left out, and the command of `twinbeam` that each runs."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            _, _, rest = (path / "stat").read_text().rpartition(") ")
            state, its_parent = rest.split()[:2]
            line = (path / "cmdline").read_text().split("\0")
        except OSError:  # it has ended
            continue
        # A child that has only just been forked does not have its own command yet.
        if int(its_parent) == parent and state != "Z" and "pipeline.cli.main" in line:
            found[int(path.name)] = line[line.index("pipeline.cli.main") + 1]
    return found


def gone(pids: Iterable[int]) -> bool:
    """Whether processes have ended."""
    for pid in pids:
        with contextlib.suppress(OSError):
            if ") Z " not in Path(f"/proc/{pid}/stat").read_text():
                return False
    return True


def wait_until(done: Callable[[], bool]) -> None:
    """Waits, for a minute at most."""
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def running(city: City) -> Iterator[Running]:
    """Five seconds of the replay a second, so for more than a minute. SIGTERM then ends all of it, with exit code 0."""
    process = city.up("--speed", "5")
    try:
        opened = started(process)
        yield opened
        lives = opened.children
        assert finish(process, signal.SIGTERM) == Run(0, "", None)  # type: ignore[arg-type]
        assert gone(lives)
    finally:
        process.kill()
        process.wait()
