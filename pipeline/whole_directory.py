"""A directory of output that appears complete or not at all, whatever ends the job that writes it."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from modules.spec import BusyError, OutputError

_NO_ROOM = [os.strerror(number) for number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)]
_held: set[Path] = set()
"""Where jobs of this process work."""


@contextlib.contextmanager
def whole_directory(output: Path, job: str, option: str) -> Iterator[tuple[Path, Path]]:
    """Two directories: one beside the output to work in, and one in it that becomes the output at the end.

    What a killed job has left there is removed at the start of the next.

    Args:
      output: The directory; it must not exist, or be empty; its parent is made.
      job: Who writes it, for the errors: "backfill".
      option: What names it, for the errors: "--output DIR".

    Raises:
      OutputError: It is there already, cannot be written, or the disk is full.
      BusyError: Another job writes it.
    """
    scratch = _scratch(output)
    try:
        if output.exists() and not (output.is_dir() and not any(output.iterdir())):
            raise OutputError(f"{output}: is there already. Remove it, or name another {option}.")
        scratch.mkdir(parents=True, exist_ok=True)
        lock = FileLock(scratch / ".lock")
        lock.acquire(blocking=False)
    except Timeout:
        raise BusyError(
            f"{output}: another {job} is writing it. Wait for it, or give this one another {option}."
        ) from None
    except OSError as error:
        raise OutputError(f"{output}: cannot be written: {error.strerror}. Name another {option}.") from None
    _held.add(scratch)
    try:
        for left in scratch.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
        parts = scratch / "parts"
        parts.mkdir()
        yield scratch, parts
        parts.rename(output)
    except Exception as error:  # of a runner's own type, which holds that of the step as text
        if why := next((words for words in _NO_ROOM if words in str(error)), None):
            raise OutputError(f"{output}: the disk is full: {why}. Make room, or name another {option}.") from None
        raise
    finally:
        lock.release()
        _held.discard(scratch)
        shutil.rmtree(scratch, ignore_errors=True)


def clear(output: Path) -> None:
    """Removes what a job of this process, ended there and then, leaves beside its output; of another's, nothing."""
    if (scratch := _scratch(output)) in _held:
        shutil.rmtree(scratch, ignore_errors=True)


def _scratch(output: Path) -> Path:
    return output.absolute().parent / f".{output.name}.partial"
