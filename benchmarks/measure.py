"""Runs a command as a process of its own and says what it cost, its children included."""

import dataclasses
import os
import subprocess
import time
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one process and its children cost."""

    wall_s: float
    cpu_s: float
    """User and system time."""
    peak_mb: float
    """Peak resident memory of the largest single process."""
    out: str
    """What it printed."""


def measure(command: list[str], cwd: Path, directory: Path, env: dict[str, str] | None = None) -> Cost:
    """Runs the command to its end, with what it prints in the files `out` and `err` of `directory`.

    Raises:
      RuntimeError: It failed.
    """
    out, err = directory / "out", directory / "err"
    started = time.monotonic()
    with out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen(command, cwd=cwd, env=os.environ | (env or {}), stdout=stdout, stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}:\n{err.read_text()[-2000:]}")
    wall = time.monotonic() - started
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out.read_text())
