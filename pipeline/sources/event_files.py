"""Files of recorded events, read to memory: all that they hold, and when the log took in each."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modules.spec import InputError, Typed
from pipeline.ingest.conform import conform
from pipeline.ingest.files import InputFile
from pipeline.ingest.messages import as_text, keys_in, read_messages
from pipeline.ingest.readers import line_blocks, read_batches
from pipeline.sources.source import EARLIEST

_BLOCK_BYTES = 8 << 20


@dataclasses.dataclass(frozen=True)
class Recording:
    """What files hold, in their order."""

    rows: pa.RecordBatch
    """The declared columns of what could be split into them, as written."""
    payloads: pa.Array | None
    """large_binary, shape (rows,): the line of each row; None unless all files are of JSON lines."""
    broken: tuple[tuple[bytes, str], ...]
    """What could not, and why."""
    row: np.ndarray
    """int64, shape (items,): the row of each item; -1 - i: it is the broken one of index i."""
    ingest: np.ndarray
    """int64, shape (items,): when the log took each item in, in microseconds: its declared ingest time, else its own
    time, else (no time can be read) that of the item before it, or of the first after it that has one."""


@dataclasses.dataclass(frozen=True)
class _Part:
    """Consecutive items of a file."""

    rows: pa.RecordBatch
    payloads: pa.Array
    """large_binary, shape (rows,): null but for JSON lines."""
    broken: list[tuple[int, bytes, str]]
    """The place among the part's items, ascending; payload and reason."""


def read_events(
    files: Sequence[InputFile], columns: dict[str, Typed], time: str, ingest_time: str | None, more_follow: bool
) -> Recording:
    """Reads files of events; columns that are not declared are ignored.

    Args:
      files: The files. A row that a line of JSON leaves columns out of has nulls there.
      columns: The declared columns. A CSV or Parquet file must have each; of JSON files, all together.
      time: The column with the event's time.
      ingest_time: The column with its ingest time.
      more_follow: Whether other files may have the columns that these files of JSON leave out.

    Raises:
      InputError: A file is not what its name says, or lacks a declared column.
    """
    rows: list[pa.RecordBatch] = []
    payloads: list[pa.Array] = []
    origins: list[str] = []
    broken: list[tuple[bytes, str]] = []
    items: list[np.ndarray] = []
    ingest: list[np.ndarray] = []
    count = 0
    unseen = set(columns) if files and all(file.format == "jsonl" for file in files) else set()
    for file in files:
        for part in _json_lines(file.path, columns, unseen) if file.format == "jsonl" else _split(file, columns):
            total = len(part.rows) + len(part.broken)
            at = np.array([place for place, _, _ in part.broken], np.int64)
            good = np.delete(np.arange(total), at)
            row, times = np.empty(total, np.int64), np.zeros(total, np.int64)
            row[good] = np.arange(count, count + len(part.rows))
            row[at] = -1 - np.arange(len(broken), len(broken) + len(at))
            known = np.zeros(total, bool)
            try:
                times[good], known[good] = _times(part.rows, columns, time, ingest_time)
            except InputError as error:
                raise InputError(f"{file.path}: {error}") from None
            count += len(part.rows)
            broken += [(payload, reason) for _, payload, reason in part.broken]
            rows.append(part.rows)
            payloads.append(part.payloads)
            origins.append(file.path)
            items.append(row)
            ingest.append(np.where(known, times, _UNKNOWN))
    if unseen and count and not more_follow:
        raise InputError(
            f"{files[0].path}: the column {', '.join(sorted(unseen))} is missing in every row of every file. Add it to "
            "the data, or remove it from the declaration."
        )
    lines = pa.chunked_array(payloads, pa.large_binary()).combine_chunks()
    return Recording(
        _as_one(rows, origins, columns),
        None if lines.null_count else lines,
        tuple(broken),
        np.concatenate([np.empty(0, np.int64), *items]),
        _filled(np.concatenate([np.empty(0, np.int64), *ingest])),
    )


_UNKNOWN = np.iinfo(np.int64).min


def _filled(ingest: np.ndarray) -> np.ndarray:
    """Where the time is unknown: the one before, else the first after, else the earliest."""
    known = ingest != _UNKNOWN
    if not known.any():
        return np.full_like(ingest, EARLIEST)
    latest = np.maximum.accumulate(np.where(known, np.arange(len(ingest)), 0))
    latest[: known.argmax()] = known.argmax()
    return ingest[latest]


def _times(
    rows: pa.RecordBatch, columns: dict[str, Typed], time: str, ingest_time: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """The ingest time of each row, in microseconds, and whether one can be read."""
    times, _ = conform(rows[time], columns[time], time)
    if ingest_time is not None:
        ingest, _ = conform(rows[ingest_time], columns[ingest_time], ingest_time)
        times = pc.coalesce(ingest, times)
    return pc.fill_null(times, 0).to_numpy(), times.is_valid().to_numpy(zero_copy_only=False)


def _split(file: InputFile, columns: dict[str, Typed]) -> Iterator[_Part]:
    """A CSV or Parquet file."""
    unsplit: list[tuple[int, str]] = []
    batches = read_batches(file, None, columns, [], unsplit)
    accepted = "a row of another number of fields than the header; fields with commas need quotes"

    def broken(until: int, read: int) -> list[tuple[int, bytes, str]]:
        """Those with row numbers below `until`, of a part that begins after the first `read` items."""
        at = sum(number < until for number, _ in unsplit)
        taken = [(number - 1 - read, text.encode(), accepted) for number, text in unsplit[:at]]
        del unsplit[:at]
        return taken

    read = 0
    for numbers, rows in batches:
        yield _Part(rows, pa.nulls(len(rows), pa.large_binary()), broken(int(numbers[-1]), read))
        read = int(numbers[-1])
    if unsplit:
        yield _Part(_none(columns), pa.nulls(0, pa.large_binary()), broken(unsplit[-1][0] + 1, read))


def _none(columns: dict[str, Typed]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], pa.schema([(name, pa.null()) for name in columns]))


def _json_lines(path: str, columns: dict[str, Typed], unseen: set[str]) -> Iterator[_Part]:
    """A file of JSON lines; names that occur in it are taken from `unseen`."""
    try:
        for lines in line_blocks(path, _BLOCK_BYTES):
            rows, good, broken = read_messages(lines, columns)
            if unseen:
                unseen -= set(keys_in(lines, rows))
            payloads = pa.array([lines[index] for index in good.tolist()], pa.large_binary())
            yield _Part(rows, payloads, [(index, lines[index], reason) for index, reason in broken])
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}. Mend or remove the file.") from None


def _as_one(parts: list[pa.RecordBatch], origins: list[str], columns: dict[str, Typed]) -> pa.RecordBatch:
    """The rows of all parts, in columns of one type each; text where the parts have different ones."""
    names = list(columns)
    arrays = []
    for name in names:
        chunks = [_plain(part[name]) for part in parts]
        types = {chunk.type: origin for chunk, origin in zip(chunks, origins, strict=True)
                 if not pa.types.is_null(chunk.type)}  # fmt: skip
        if len(types) > 1:
            chunks = [as_text(chunk) for chunk in chunks]
        only = pa.string() if len(types) != 1 else next(iter(types))
        arrays.append(pa.chunked_array([chunk.cast(only) for chunk in chunks], only))
    table = pa.Table.from_arrays(arrays, names=names).combine_chunks()
    return table.to_batches()[0] if len(table) else pa.RecordBatch.from_pylist([], table.schema)


def _plain(column: pa.Array) -> pa.Array:
    """Text and dictionaries in the one form that the others are compared with."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return column
