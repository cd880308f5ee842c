"""Which files hold the rows: a file, a directory, a glob, or a pattern of spans and versions; here or in a bucket."""

import contextlib
import dataclasses
import datetime
import glob
import hashlib
import importlib.util
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from modules.spec import InputError

SUFFIXES = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}
_FIELDS = {"SPAN": r"\d+", "VERSION": r"\d+", "YYYY": r"\d{4}", "MM": r"\d{2}", "DD": r"\d{2}"}
_EPOCH = datetime.date(1970, 1, 1)


@dataclasses.dataclass(frozen=True)
class InputFile:
    """One file of rows."""

    path: str
    format: str
    """csv, parquet or jsonl."""


def is_remote(path: str) -> bool:
    """Whether a path is that of an object in a bucket (gs://), which all workers reach."""
    return "://" in path


def readable(path: str) -> str | BinaryIO:
    """What Arrow reads a file from: its path here, or an open stream of an object."""
    return open_file(path) if is_remote(path) else path


def open_file(path: str) -> BinaryIO:
    """Opens a file or an object to read its bytes as they are."""
    if not is_remote(path):
        return Path(path).open("rb")
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    stream: BinaryIO = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return stream


def create_file(path: str) -> BinaryIO:
    """Opens a file, of which the directory is made, or an object, to write it. An object is there once it is closed."""
    if not is_remote(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return Path(path).open("wb")
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    stream: BinaryIO = FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return stream


def files_below(directory: str) -> list[str]:
    """The paths of all files below a directory, or of objects below a prefix, ascending; none if it is not there."""
    return sorted(_in_directory(directory) or [])


def copy_below(source: str, target: str) -> None:
    """Copies all files below a directory or a prefix to another; what is hidden stays."""
    for path in files_below(source):
        name = path.removeprefix(source).lstrip("/")
        if any(part.startswith(".") for part in Path(name).parts):
            continue
        with open_file(path) as content, create_file(f"{target}/{name}") as copy:
            shutil.copyfileobj(content, copy, 1 << 20)


@contextlib.contextmanager
def at_hand(place: str) -> Iterator[str]:
    """A directory of this machine with what is at a place."""
    if not is_remote(place):
        yield place
        return
    with tempfile.TemporaryDirectory() as here:
        copy_below(place, here)
        yield here


def remove_below(directory: str) -> None:
    """Removes a directory, or all objects below a prefix, if there is any."""
    if not is_remote(directory):
        shutil.rmtree(directory, ignore_errors=True)
        return
    from apache_beam.io.gcp.gcsio import GcsIO

    for path in files_below(directory):
        GcsIO().delete(path)


def content_of(path: str) -> str:
    """What changes when a file changes: for one of this machine a digest of its content, for an object its checksum."""
    if not is_remote(path):
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    from apache_beam.io.filesystems import FileSystems

    return str(FileSystems.checksum(path))


def size(path: str) -> int:
    """Bytes of a file or an object."""
    if not is_remote(path):
        return Path(path).stat().st_size
    return _objects(path)[path]


def _objects(pattern: str) -> dict[str, int]:
    """The objects that match a pattern, in which `**` also stands for slashes, and their sizes."""
    from apache_beam.io.filesystem import BeamIOError
    from apache_beam.io.filesystems import FileSystems

    try:
        [found] = FileSystems.match([pattern])
    except (BeamIOError, ValueError) as error:
        raise InputError(
            f"{pattern}: cannot be listed: {error}. Name files here or at gs://BUCKET/PATH that you may read."
        ) from None
    return {each.path: each.size_in_bytes for each in found.metadata_list}


def _matching(pattern: str) -> list[str]:
    """The files that match a pattern."""
    if is_remote(pattern):
        return list(_objects(pattern))
    return [path for path in glob.glob(pattern, recursive=True) if Path(path).is_file()]


def _is_file(path: str) -> bool:
    return path in _objects(path) if is_remote(path) else Path(path).is_file()


def _in_directory(path: str) -> list[str] | None:
    """The files below a directory; None if there is no such directory."""
    if is_remote(path):
        return list(_objects(f"{path.rstrip('/')}/**")) or None
    return _matching(f"{glob.escape(path)}/**") if Path(path).is_dir() else None


def find_files(
    data: str, spans: int = 1, until: datetime.date | None = None, named: str = "--data PATH"
) -> list[InputFile]:
    """The files that `data` names, in the order of their paths.

    Args:
      data: A file, a directory, a glob, `package:NAME/PATH`, or a pattern with {SPAN} or {YYYY}, {MM}, {DD}, and
        {VERSION}, in which `*` stands for anything. A span is a number, or a day counted from 1970-01-01; of each span
        only the latest version is read.
      spans: With a pattern: how many of the latest spans to read.
      until: With a pattern of days: the latest day to read, itself included.
      named: What `data` was named with, for the errors.

    Raises:
      InputError: Nothing matches, a file's name does not say its format, or `until` is given with another pattern.
    """
    if not data:
        raise InputError(f"data names no files. Name the data with {named}.")
    if data.startswith("package:"):
        data = _in_package(data.removeprefix("package:"))
    if any("{" + field + "}" in data for field in _FIELDS):
        paths = _latest(data, spans, until)
    elif _is_file(data):
        paths = [data]
    elif (inside := _in_directory(data)) is not None:
        paths = [path for path in inside if Path(path).suffix in SUFFIXES]
        if not paths:
            raise InputError(f"{data}: the directory holds no file ending in {', '.join(SUFFIXES)}.")
    elif glob.has_magic(data):
        paths = _matching(data)
        if not paths:
            raise InputError(
                f"{data}: no file matches. Check the pattern, and quote it so that the shell leaves it alone."
            )
    else:
        raise InputError(f"{data}: no such file or directory. Name the data with {named}.")
    for path in paths:
        if Path(path).suffix not in SUFFIXES:
            raise InputError(f"{path}: the name does not say the format; accepted: {', '.join(SUFFIXES)}.")
        if size(path) == 0:
            raise InputError(f"{path}: the file is empty. Remove it, or name other data with {named}.")
    return [InputFile(path, SUFFIXES[Path(path).suffix]) for path in sorted(set(paths))]


def _in_package(name: str) -> str:
    package, _, path = name.partition("/")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # the parent of a dotted name is not there; the name is empty
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"package:{name}: the package {package} is not installed.")
    return str(Path(spec.submodule_search_locations[0], path))


def _latest(pattern: str, spans: int, until: datetime.date | None) -> list[str]:
    """The files of the latest version of each of the latest spans up to a day."""
    fields = re.findall("{(" + "|".join(_FIELDS) + ")}", pattern)
    by_date = {"YYYY", "MM", "DD"} <= set(fields)
    some_date = not {"YYYY", "MM", "DD"}.isdisjoint(fields)
    if len(set(fields)) < len(fields) or ("SPAN" in fields) == by_date or some_date != by_date:
        raise InputError(f"{pattern}: a pattern has either {{SPAN}}, or all of {{YYYY}}, {{MM}} and {{DD}}, each once.")
    if until and not by_date:
        raise InputError(f"{pattern}: until: {until} is a day, and {{SPAN}} counts something else. Leave `until` out.")
    regex, wild = re.escape(pattern).replace(r"\*", "[^/]*"), glob.escape(pattern).replace("[*]", "*")
    for field in fields:
        regex = regex.replace(re.escape("{" + field + "}"), f"(?P<{field}>{_FIELDS[field]})")
        wild = wild.replace("{" + field + "}", "*")
    found: dict[int, dict[int, list[str]]] = {}
    for path in _matching(wild):
        if match := re.fullmatch(regex, path):
            values = {name: int(value) for name, value in match.groupdict().items()}
            try:
                span = values["SPAN"] if "SPAN" in values else _day(values)
            except ValueError:
                raise InputError(f"{path}: {pattern} reads a day from its name that no calendar has.") from None
            found.setdefault(span, {}).setdefault(values.get("VERSION", 0), []).append(path)
    if not found:
        raise InputError(f"{pattern}: no file matches. Check the pattern against the names in its directory.")
    last = (until - _EPOCH).days if until else max(found)
    read = sorted(span for span in found if span <= last)[-spans:]
    if not read:
        raise InputError(
            f"{pattern}: there is nothing until {until}; the first day is {_EPOCH + datetime.timedelta(min(found))}."
        )
    return [path for span in read for path in found[span][max(found[span])]]


def _day(values: dict[str, int]) -> int:
    return (datetime.date(values["YYYY"], values["MM"], values["DD"]) - _EPOCH).days
