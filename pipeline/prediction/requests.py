"""Requests in files, to predict for: rows with the dataset's columns, of which those of the label may be left out."""

import csv
import io
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modules.live import entities
from modules.spec import Column, Declaration, Typed
from pipeline.ingest.conform import conform
from pipeline.ingest.files import InputFile, open_file, readable
from pipeline.ingest.messages import keys_in, read_messages
from pipeline.ingest.problems import Problem, problem
from pipeline.ingest.readers import line_blocks, read_batches
from pipeline.live.requests import as_written, conform_requests

_BLOCK_BYTES = 8 << 20
_NEEDED = "a value in every request, because the model needs it"


def read_requests(declaration: Declaration, file: InputFile, problems: list[Problem]) -> Iterator[pa.RecordBatch]:
    """The requests of a file in their order, each batch of at most 65,536 rows or 8 MB of CSV.

    They have all of the dataset's columns, times as timestamps, and an id. A column with role label or ignored that the
    file does not have is null.

    Args:
      declaration: What they are requests of.
      file: The file.
      problems: What does not fit is added here, and nothing is given from then on.

    Raises:
      InputError: The file cannot be read, or its columns are not the declared ones.
    """
    kinds = entities(declaration)
    required = [
        name
        for name, column in declaration.features.items()
        if not column.optional and name not in declaration.live_features
    ]
    there = _columns(declaration, file)
    for numbers, batch in read_batches(file, there, there, problems):
        arrays = {name: batch.column(name) if name in there else pa.nulls(len(batch)) for name in declaration.columns}
        whole = pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays))
        columns = conform_requests(declaration, kinds, file.path, numbers, whole, problems)
        for name in required:
            if columns[name].null_count:
                _, unfit = conform(batch.column(name), declaration.columns[name], name)
                lacking = pc.is_null(columns[name]).to_numpy(zero_copy_only=False) & ~unfit
                if lacking.any():
                    problems.append(problem(file.path, numbers, name, _NEEDED, batch.column(name), lacking))
        if not problems:
            yield as_written(columns, declaration)


def _columns(declaration: Declaration, file: InputFile) -> dict[str, Column]:
    """The declared columns that the file is to have: all, but for those of the others that it has not."""
    others = {name for name, column in declaration.columns.items() if column.role in ("label", "ignored")}
    try:
        absent = others - _found(file, {name: declaration.columns[name] for name in others})
    except (pa.ArrowInvalid, OSError, csv.Error):  # who reads the rows says why
        absent = set()
    return {name: column for name, column in declaration.columns.items() if name not in absent}


def _found(file: InputFile, wanted: Mapping[str, Typed]) -> set[str]:
    """The columns of a file; of JSON lines no more than it takes to find the wanted ones."""
    if file.format == "parquet":
        return set(pq.read_schema(readable(file.path)).names)
    if file.format == "csv":
        with io.TextIOWrapper(open_file(file.path), encoding="utf-8-sig", errors="replace", newline="") as text:
            return set(next(filter(None, csv.reader(text)), []))
    found: set[str] = set()
    for lines in line_blocks(file.path, _BLOCK_BYTES):
        found.update(keys_in(lines, read_messages(lines, wanted)[0]))
        if wanted.keys() <= found:
            break
    return found
