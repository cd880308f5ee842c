"""One reader a format: a file becomes batches of columns as they were written, none converted yet."""

import codecs
import csv
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from modules.spec import InputError, Typed
from pipeline.ingest.files import InputFile, open_file, readable
from pipeline.ingest.messages import keys_in, read_messages
from pipeline.ingest.problems import Problem

_BLOCK_BYTES = 8 << 20
_BATCH_ROWS = 1 << 16
_ONE_OBJECT = "one JSON object a line, with each declared key once and one value in it"

Batch = tuple[np.ndarray, pa.RecordBatch]
"""Row numbers, int64, shape (rows,), counted in the file from 1; and the rows."""


def read_batches(
    file: InputFile,
    declared: Collection[str] | None,
    wanted: Mapping[str, Typed],
    problems: list[Problem],
    unsplit: list[tuple[int, str]] | None = None,
) -> Iterator[Batch]:
    """The rows of a file, in order, none of the batches empty.

    Args:
      file: The file.
      declared: All columns that the file must have, and no other; None: it must have the wanted ones, whatever else.
      wanted: The columns to read. Only JSON lines are read by their types, so that no row depends on its neighbours.
      problems: Rows that cannot be split into columns are added here, and left out.
      unsplit: Their row numbers and text are added here.

    Raises:
      InputError: The file is not what its name says, or its columns are not the declared ones.
    """
    readers: dict[str, Callable[..., Iterator[pa.RecordBatch]]] = {
        "csv": _csv,
        "parquet": _parquet,
        "jsonl": _json_lines,
    }
    skipped: list[int] = []
    read = 0
    try:
        for batch in readers[file.format](file.path, declared, wanted, problems, skipped, unsplit):
            if len(batch):
                batch.validate(full=True)  # text that is not UTF-8 passes the readers of Parquet and JSON
                yield _row_numbers(read, len(batch), skipped), batch
                read += len(batch)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, csv.Error) as error:
        raise InputError(f"{file.path}: cannot be read as {file.format}: {_why(error)}") from None
    except OSError as error:
        raise InputError(f"{file.path}: cannot be read: {_why(error)}") from None


def _why(error: Exception) -> str:
    text = str(error).rstrip(".\n")
    return f"{text}. {'Save it as UTF-8' if 'UTF8' in text else 'Mend or remove the file'}."


def _row_numbers(read: int, rows: int, skipped: list[int]) -> np.ndarray:
    """The numbers in the file of the `rows` rows that follow the first `read` good ones; `skipped` ascends."""
    nth = np.arange(read + 1, read + rows + 1)
    good_before = np.array(skipped, np.int64) - np.arange(1, len(skipped) + 1)
    return nth + np.searchsorted(good_before, nth, side="left")


def _check_columns(path: str, found: list[str], declared: Collection[str] | None, wanted: Collection[str]) -> None:
    if declared is None:
        found, declared = [name for name in found if name in wanted] or found, wanted
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise InputError(f"{path}: the column {', '.join(twice)} is there twice. Rename one.")
    missing = [name for name in declared if name not in found]
    extra = [name for name in found if name not in declared]
    if len(found) == 1 and len(declared) > 1:
        for delimiter in (";", "\t", "|"):
            if delimiter in found[0] and set(found[0].split(delimiter)) & set(declared):
                raise InputError(
                    f"{path}: the fields are separated by {delimiter!r}, not by a comma; write it with commas, "
                    "or as Parquet."
                )
    if missing:
        raise InputError(
            f"{path}: the column {', '.join(missing)} is missing; found {', '.join(found)}. "
            "Add it to the data, or remove it from the declaration."
        )
    if extra:
        raise InputError(
            f"{path}: the column {', '.join(extra)} is not declared. "
            f"Declare it, for instance `{extra[0]}: {{type: string, role: ignored}}`, or remove it from the data."
        )


def _csv(
    path: str,
    declared: Collection[str] | None,
    wanted: Mapping[str, Typed],
    problems: list[Problem],
    skipped: list[int],
    unsplit: list[tuple[int, str]] | None,
) -> Iterator[pa.RecordBatch]:
    with io.TextIOWrapper(open_file(path), encoding="utf-8-sig", errors="replace", newline="") as text:
        header = next(filter(None, csv.reader(text)), [])
        only_header = not text.read(1)
    _check_columns(path, header, declared, wanted)
    if only_header:
        return
    accepted = f"{len(header)} fields, as in the header, fields with commas in quotes"

    def invalid(row: pyarrow.csv.InvalidRow) -> str:
        skipped.append(row.number - 1)
        example = f"{path}, row {row.number - 1}: read {row.actual_columns} fields in {row.text[:60]!r}"
        problems.append(Problem("(the whole row)", accepted, 1, (example,)))
        if unsplit is not None:
            unsplit.append((row.number - 1, row.text))
        return "skip"

    batches = pyarrow.csv.open_csv(
        readable(path),
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=invalid),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.string()),
            include_columns=list(wanted),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    yield from batches


def _parquet(
    path: str, declared: Collection[str] | None, wanted: Mapping[str, Typed], *_: object
) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(readable(path)) as file:
        _check_columns(path, file.schema_arrow.names, declared, wanted)
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(wanted), use_threads=False):
            yield batch.select(list(wanted))


def _json_lines(
    path: str,
    declared: Collection[str] | None,
    wanted: Mapping[str, Typed],
    problems: list[Problem],
    skipped: list[int],
    unsplit: list[tuple[int, str]] | None,
) -> Iterator[pa.RecordBatch]:
    """A key that a row leaves out is null; a column that no row of the file has is missing, if there is a row."""
    seen: dict[str, None] = {}
    others: set[str] | None = None if declared is None else set()
    read = 0
    for lines in line_blocks(path, _BLOCK_BYTES):
        if lines and not seen:
            seen = dict.fromkeys(_keys(lines[0]))
        rows, _, broken = read_messages(lines, wanted, others)
        for index, reason in broken:
            skipped.append(number := read + index + 1)
            problems.append(Problem("(the whole row)", _ONE_OBJECT, 1, (f"{path}, row {number}: {reason}",)))
            if unsplit is not None:
                unsplit.append((number, lines[index].decode(errors="replace")))
        seen |= dict.fromkeys(keys_in(lines, rows))
        yield from (rows.slice(at, _BATCH_ROWS) for at in range(0, len(rows), _BATCH_ROWS))
        read += len(lines)
    if len(skipped) < read or not read:
        _check_columns(path, [*seen, *sorted((others or set()) - seen.keys())], declared, wanted)


def line_blocks(path: str, size: int) -> Iterator[list[bytes]]:
    """The lines of a file but for blank ones, about `size` bytes of them at once, without a byte order mark."""
    mark = codecs.BOM_UTF8
    with open_file(path) as file:
        while block := file.readlines(size):
            block[0], mark = block[0].removeprefix(mark), b""
            yield [line.rstrip(b"\r\n") for line in block if line.strip()]


def _keys(line: bytes) -> list[str]:
    """Those of a JSON object; none if it is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return []
    return list(found) if isinstance(found, dict) else []
