"""Real servers for tests, each on a free port of this machine with nothing kept on disk."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Server:
    """A server's process, which can be killed, started again, and stopped for a while. What it held is gone then."""

    def __init__(self, command: Callable[[int], Sequence[str | Path]], directory: Path) -> None:
        """Starts nothing yet.

        Args:
          command: The command line for a port.
          directory: Where it runs.
        """
        self.port = free_port()
        self._command = command(self.port)
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until it accepts connections."""
        self._process = subprocess.Popen(
            self._command, cwd=self._directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self._process.poll() is None, f"{self._command} ended with {self._process.returncode}"
            assert time.monotonic() < deadline, f"{self._command} does not listen"
            time.sleep(0.01)

    def kill(self) -> None:
        """Kills it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """It accepts connections, and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[Server]:
    """A Redis server.

    Args:
      options: More of its command line, such as `--maxmemory 2mb`.
    """
    if (binary := shutil.which("redis-server")) is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    quiet = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    with running(lambda port: [binary, "--port", str(port), *quiet, *options]) as server:
        yield server


@contextlib.contextmanager
def bigtable_emulator() -> Iterator[Server]:
    """The Bigtable emulator, to which BIGTABLE_EMULATOR_HOST points meanwhile."""
    binary = _emulator()
    with running(lambda port: [binary, "-host", "127.0.0.1", "-port", str(port)]) as server:
        before = os.environ.get("BIGTABLE_EMULATOR_HOST")
        os.environ["BIGTABLE_EMULATOR_HOST"] = f"127.0.0.1:{server.port}"
        try:
            yield server
        finally:
            del os.environ["BIGTABLE_EMULATOR_HOST"]
            if before is not None:
                os.environ["BIGTABLE_EMULATOR_HOST"] = before


@contextlib.contextmanager
def running(command: Callable[[int], Sequence[str | Path]]) -> Iterator[Server]:
    """A server of any kind, started in a directory of its own by a command line for a port."""
    with tempfile.TemporaryDirectory() as directory:
        server = Server(command, Path(directory))
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _emulator() -> Path:
    """The emulator's program, which the Cloud SDK keeps beside its commands."""
    roots = [Path("/usr/lib/google-cloud-sdk"), Path("/usr/share/google-cloud-sdk"), Path("/opt/google-cloud-sdk")]
    if root := os.environ.get("CLOUDSDK_ROOT"):
        roots.insert(0, Path(root))
    if gcloud := shutil.which("gcloud"):
        roots.append(Path(gcloud).resolve().parent.parent)
    found = [path for root in roots if (path := root / "platform/bigtable-emulator/cbtemulator").is_file()]
    if on_path := shutil.which("cbtemulator"):
        found.insert(0, Path(on_path))
    if not found:
        pytest.skip(
            "the Bigtable emulator is not installed (gcloud components install bigtable, or apt-get install "
            "google-cloud-cli-bigtable-emulator); found neither on PATH nor below CLOUDSDK_ROOT"
        )
    return found[0]
