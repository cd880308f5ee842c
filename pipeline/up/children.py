"""The processes that one command starts, watches and stops; none outlives it."""

import contextlib
import ctypes
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import httpx

from modules.spec import TwinbeamError
from pipeline.serving.model_server.flags import HOST_VARIABLE
from pipeline.up.stop import Stop

_POLL_S = 0.1
_READY_S = 180.0
"""Seconds after which a process that is not ready is given up."""
_DRAIN_S = 15.0
"""Seconds that a process is given to end after SIGTERM."""
_LAST_LINES = 10
_ON_LOOPBACK = {HOST_VARIABLE: "127.0.0.1"}
"""What listens on every interface unless the environment says otherwise; other commands listen on it anyway."""
_OWN_CODES = range(3, 12)
"""The exit codes of errors that a user can mend."""
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


@dataclasses.dataclass(frozen=True)
class Child:
    """A process of this same command."""

    name: str
    """The command's."""
    process: "subprocess.Popen[bytes]"
    log: Path
    """What it prints."""
    may_end: bool
    """Whether its end, with exit code 0, is as it should be."""

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None


class Children:
    """Processes that end at the latest when the block is left, the last one started first."""

    def __init__(self, logs: Path, stop: Stop) -> None:
        """Starts nothing yet.

        Args:
          logs: The directory of their logs, which is there.
          stop: Ends all waiting.
        """
        self._logs, self._stop = logs, stop
        self._children: list[Child] = []

    def start(self, arguments: Sequence[str], may_end: bool = False) -> Child:
        """Starts a command of `twinbeam`, whose log is begun anew.

        Only the main thread may do so: what a thread has started ends with it.
        """
        name = arguments[0]
        log = self._logs / f"{name}.log"
        line = [sys.executable, "-m", "pipeline.cli.main", *arguments]
        parent = os.getpid()
        with log.open("wb") as file:
            # A group of its own, so that Ctrl-C on the terminal reaches it by way of us.
            process = subprocess.Popen(  # noqa: S603  our own command
                line,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | _ON_LOOPBACK,
                process_group=0,
                preexec_fn=lambda: _die_with(parent),
            )
        child = Child(name, process, log, may_end)
        self._children.append(child)
        return child

    def check(self) -> None:
        """Looks after all of them.

        Raises:
          TwinbeamError: One has ended that should not have; with its exit code, where that is one of an error that a
            user can mend.
        """
        for child in self._children:
            code = child.process.poll()
            if code is not None and not (child.may_end and code == 0):
                how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
                error = TwinbeamError(f"{child.name} {how}. The end of {child.log}:\n{_last_lines(child.log)}")
                error.exit_code = code if code in _OWN_CODES else TwinbeamError.exit_code
                raise error

    def wait_until(self, child: Child, done: Callable[[], str]) -> None:
        """Waits until `done` returns nothing, and not what is still missing.

        Raises:
          Stopped: A signal came.
          TwinbeamError: A process has ended, or it is not done in time.
        """
        until = time.monotonic() + _READY_S
        while missing := done():
            self.check()
            if time.monotonic() > until:
                raise TwinbeamError(
                    f"{child.name} is not ready after {_READY_S:.0f} s: {missing}. The end of {child.log}:\n"
                    f"{_last_lines(child.log)}"
                )
            self._stop.wait(_POLL_S)
        self.check()

    def watch(self) -> None:
        """Waits for a signal, or for a process to end that should not.

        Raises:
          Stopped: A signal came.
          TwinbeamError: One has ended.
        """
        while True:
            self.check()
            self._stop.wait(_POLL_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self._children):
            child.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(_DRAIN_S)
            child.process.kill()
            child.process.wait()


def answer(url: str) -> str:
    """Nothing where an HTTP GET is answered by 200, else what it is answered by."""
    try:
        given = httpx.get(url, timeout=5)
    except httpx.HTTPError as error:
        return f"{url}: {error}"
    return "" if given.status_code == httpx.codes.OK else f"{url}: {given.status_code} {given.text.strip()}"


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 on which nobody listens."""
    with contextlib.ExitStack() as taken:
        sockets = [taken.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def _die_with(parent: int) -> None:
    """In the new process: the kernel kills it as soon as its parent is no more, however that ended."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _last_lines(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-_LAST_LINES:]) or "  (nothing)"
