"""The directory of a served model: one integer directory a version, the greatest is the newest, as TensorFlow Serving
reads it. A version appears complete or not at all, whatever kills the process that writes it.
"""

import filecmp
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from modules.spec import NotFoundError

_PUSHING = ".pushing-"
_VERSION = re.compile("0|[1-9][0-9]*")


def versions(base: Path) -> list[int]:
    """The complete versions, ascending; none if there is no such directory."""
    if not base.is_dir():
        return []
    return sorted(int(entry.name) for entry in base.iterdir() if _VERSION.fullmatch(entry.name) and entry.is_dir())


def newest(base: Path) -> Path:
    """The newest version's directory.

    Raises:
      NotFoundError: There is none.
    """
    if not (found := versions(base)):
        raise NotFoundError(f"{base}: no model has been pushed here. Train one with `twinbeam run`.")
    return base / str(found[-1])


def one(base: Path, version: int) -> Path:
    """A version's directory.

    Raises:
      NotFoundError: There is no such version.
    """
    if version not in (found := versions(base)):
        raise NotFoundError(f"{base}: there is no version {version}; found {_listed(found)}.")
    return base / str(version)


def push(model: Path, base: Path, complete: Callable[[Path], None] = lambda _: None) -> int:
    """Copies a model into the next version.

    The copy is made in a hidden sibling, flushed to the disk, and renamed; TensorFlow Serving sees only integer names.

    Args:
      model: A SavedModel's directory.
      base: The served model's directory.
      complete: Adds files to the copy before it appears.

    Returns:
      The new version, greater than all before it.
    """
    base.mkdir(parents=True, exist_ok=True)
    remove_abandoned(base)
    hidden = base / f"{_PUSHING}{os.getpid()}"
    try:
        shutil.copytree(model, hidden)
        complete(hidden)
        for directory, _, files in os.walk(hidden):
            for path in [directory, *(os.path.join(directory, name) for name in files)]:
                _flush(path)
        version = max(versions(base), default=0) + 1
        while True:
            try:
                hidden.rename(base / str(version))
                break
            except OSError:
                if not (base / str(version)).exists():
                    raise
                version += 1
        _flush(base)
        return version
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


def rollback(base: Path, to: int | None) -> tuple[int, int]:
    """Makes an earlier version the newest again, by pushing a copy of it.

    A newest version that is a copy itself stands where its model was pushed first, so that going back twice goes back
    two models.

    Args:
      base: The served model's directory.
      to: The version; None for the one before the newest.

    Returns:
      The earlier version, and the new one that holds the same model.

    Raises:
      NotFoundError: There is no such version.
    """
    found = versions(base)
    if to is None:
        place = next((at for at, each in enumerate(found) if _same(base / str(each), newest(base))), 0)
        if place == 0:
            raise NotFoundError(
                f"{base}: there is no version before the newest model's to go back to; found {_listed(found)}. "
                "Name one with --to."
            )
        to = found[place - 1]
    return to, push(one(base, to), base)


def remove_old(base: Path, keep: int) -> list[int]:
    """Removes all but the newest `keep` versions, at least one; each disappears at once, before its files do."""
    old = versions(base)[: -max(keep, 1)]
    for version in old:
        hidden = base / f"{_PUSHING}{os.getpid()}"
        (base / str(version)).rename(hidden)
        shutil.rmtree(hidden)
    return old


def _same(one: Path, other: Path) -> bool:
    """Whether two versions hold the same files with the same content."""
    files, others = (
        {str(path.relative_to(base)) for path in base.rglob("*") if path.is_file()} for base in (one, other)
    )
    return files == others and not any(filecmp.cmpfiles(one, other, files, shallow=False)[1:])


def _listed(found: list[int]) -> str:
    return ", ".join(map(str, found)) or "none"


def _flush(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_abandoned(base: Path) -> None:
    """Removes the hidden siblings of processes that are dead."""
    for entry in base.glob(f"{_PUSHING}*"):
        pid = entry.name.removeprefix(_PUSHING)
        if pid == str(os.getpid()) or not Path("/proc", pid).exists():
            shutil.rmtree(entry, ignore_errors=True)
