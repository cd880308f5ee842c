"""Runs of the command in processes that are killed.

They are forked from one that has imported Beam, so that a life is not spent on that.
"""

import contextlib
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from pipeline.stores.store import OnlineStore

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["pipeline.cli.main", "pipeline.jobs.stream", "pipeline.jobs.bootstrap"])
_EMULATORS = ("BIGTABLE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST")
_LAST_S = 120


class Life:
    """One run of the command, which is at its first line."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        env = {name: os.environ[name] for name in _EMULATORS if name in os.environ}
        begun, begins = _FORKS.Pipe(duplex=False)
        self._process = _FORKS.Process(target=_run, args=(tuple(arguments), env, str(log), begins))
        self._process.start()
        begun.recv()

    def kill_after(self, seconds: float) -> bool:
        """Kills it with SIGKILL; False if it was over before."""
        self._process.join(seconds)
        over = self._process.exitcode is not None
        self._process.kill()
        self._process.join()
        return not over

    def kill_once_given(self, events: float, store: OnlineStore, chance: Random) -> bool:
        """Kills it with SIGKILL up to 20 ms after so many events are in the store, of all lives; False if it was over.

        However fast the machine is, so many lives are killed in the middle.
        """
        while not self.over and given(store) < events:
            time.sleep(0.002)
        return self.kill_after(chance.uniform(0, 0.02))

    def terminate(self) -> None:
        """Sends it SIGTERM, once it listens for that: before, it has read nothing, and ends at once."""
        assert self._process.pid is not None
        while not self.over and not _catches(self._process.pid, signal.SIGTERM):
            time.sleep(0.05)
        self._process.terminate()

    @property
    def over(self) -> bool:
        return self._process.exitcode is not None

    def end(self) -> int:
        """The exit code, once it is over."""
        self._process.join(_LAST_S)
        assert self.over, "the command does not end"
        assert self._process.exitcode is not None
        return self._process.exitcode


def _catches(process: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{process}/status").read_text()
    (caught,) = re.findall("^SigCgt:\t([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)


def given(store: OnlineStore) -> int:
    """How many events of all sources are in a store for good."""
    return sum(register.position for register in store.registers())


@contextlib.contextmanager
def living(arguments: Sequence[str], log: Path) -> Iterator[Life]:
    """A run that is over when the block is left."""
    life = Life(arguments, log)
    try:
        yield life
    finally:
        life.kill_after(0)


def _run(arguments: tuple[str, ...], env: dict[str, str], log: str, begins: Connection) -> None:
    from pipeline.cli.main import app

    os.environ.update(env)
    with open(log, "a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    begins.send(time.time())
    app(arguments, prog_name="twinbeam")
