"""Output that appears complete or not at all, whatever ends the job that writes it: a directory, or objects."""

import contextlib
import errno
import os
import shutil
import uuid
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


DONE = "_SUCCESS"
"""The object beside others that says that there will be no more: a bucket has no directories to rename."""


@contextlib.contextmanager
def whole_prefix(output: str, scratch: str, option: str) -> Iterator[tuple[str, str]]:
    """Two places in buckets: one to work in, which is left there, and the output, which is complete once it has `DONE`.

    Args:
      output: gs:// path below which nothing may be.
      scratch: gs:// path below which a new place to work in is named.
      option: What names the output, for the errors.

    Raises:
      OutputError: There is something already, or it cannot be written.
    """
    from apache_beam.io.filesystem import BeamIOError
    from apache_beam.io.filesystems import FileSystems

    output = output.rstrip("/")
    try:
        if FileSystems.match([f"{output}/**"], limits=[1])[0].metadata_list:
            raise OutputError(f"{output}: there is something already. Remove it, or name another {option}.")
        yield FileSystems.join(scratch, uuid.uuid4().hex), output
        with FileSystems.create(FileSystems.join(output, DONE)):
            pass
    except BeamIOError as error:
        raise OutputError(f"{output}: {error}. Check that the bucket is there and may be written.") from None


def clear(output: Path) -> None:
    """Removes what a job of this process, ended there and then, leaves beside its output; of another's, nothing."""
    if (scratch := _scratch(output)) in _held:
        shutil.rmtree(scratch, ignore_errors=True)


def _scratch(output: Path) -> Path:
    return output.absolute().parent / f".{output.name}.partial"
