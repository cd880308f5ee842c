"""Answers the requests of files from an online store, into one Parquet file that appears complete or not at all."""

import contextlib
import dataclasses
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from modules.kernel.plan import Entity
from modules.live import entities
from modules.spec import Declaration, DeclarationError, InputError, OutputError
from pipeline.ingest.files import InputFile, find_files
from pipeline.ingest.problems import Problem, merge
from pipeline.ingest.readers import read_batches
from pipeline.live.answered import with_answers
from pipeline.live.reader import FeatureReader, LiveValue, Status
from pipeline.live.requests import as_written, conform_requests, with_path


@dataclasses.dataclass(frozen=True)
class Read:
    """What was read."""

    requests: int
    values: dict[str, int]
    """How many values have each status: known, empty, unknown, too old."""
    incomplete: int
    """How many values, of whatever status, do not hold all events that count."""


def read(declaration: Declaration, store: str, requests: str, output: Path) -> Read:
    """Writes a row for each request, in their order: its columns, its id, and for each live feature three columns.

    These are its value as int64 or float64, null where the request is too old; `<name>_status`: known, empty, unknown
    or too old; and `<name>_complete`.

    Args:
      declaration: The features.
      store: The URL of the online store; a store without their rows knows nothing, and that is an answer.
      requests: Files with the dataset's columns: a file, directory or glob.
      output: The file. One that is there is replaced at the end.

    Raises:
      DeclarationError: There are no live features.
      InputError: The URL names no store, files cannot be read, or a request does not fit.
      OutputError: The output cannot be written.
      StoreUnavailable: The store is down or too slow; nothing is tried again.
    """
    if declaration.live is None:
        raise DeclarationError("live: there are no live features to read. Declare one under live.features.")
    files = find_files(requests, named="--requests PATH")
    if not output.absolute().parent.is_dir():
        raise OutputError(
            f"{output}: cannot be written: there is no such directory. Make it, or name another with --output FILE."
        )
    partial = output.absolute().with_name(f".{output.name}.{os.getpid()}.partial")
    tally = _Tally()
    try:
        with FeatureReader.open(declaration, store) as reader:
            _write(partial, _answered(declaration, reader, files, tally))
        partial.replace(output)
    except OSError as error:  # that of a file of requests has become an InputError
        raise OutputError(
            f"{output}: cannot be written: {error.strerror or error}. Mend that, or name another with --output FILE."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return Read(tally.requests, {status.words: tally.values[status] for status in Status}, tally.incomplete)


class _Tally:
    """Adds up what was read."""

    def __init__(self) -> None:
        self.requests = self.incomplete = 0
        self.values: Counter[int] = Counter()

    def add(self, answers: dict[str, LiveValue], requests: int) -> None:
        self.requests += requests
        for value in answers.values():
            self.values.update(dict(enumerate(np.bincount(value.status, minlength=len(Status)).tolist())))
            self.incomplete += int((~value.complete).sum())


def _write(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    first = next(batches, None)
    if first is None:
        raise InputError("there are no requests. Name their files with --requests PATH.")
    text = [field.name for field in first.schema if pa.types.is_string(field.type)]
    with pq.ParquetWriter(path, first.schema, use_dictionary=text) as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)


def _answered(
    declaration: Declaration, reader: FeatureReader, files: Sequence[InputFile], tally: _Tally
) -> Iterator[pa.RecordBatch]:
    """The rows of the output, batch by batch; all requests are looked at, even after one that does not fit."""
    kinds = entities(declaration)
    problems: list[Problem] = []
    for file in files:
        try:
            yield from _read_file(declaration, kinds, reader, file, problems, tally)
        except InputError as error:
            raise InputError(with_path(file.path, error)) from None
    if problems:
        raise InputError("\n".join(map(str, merge(problems))) + "\nMend the requests, or declare the column otherwise.")


def _read_file(
    declaration: Declaration,
    kinds: Sequence[Entity],
    reader: FeatureReader,
    file: InputFile,
    problems: list[Problem],
    tally: _Tally,
) -> Iterator[pa.RecordBatch]:
    assert declaration.time is not None
    for numbers, batch in read_batches(file, declaration.columns, declaration.columns, problems):
        columns = conform_requests(declaration, kinds, file.path, numbers, batch, problems)
        if not problems:
            answers = reader.read(columns, columns[declaration.time].to_numpy())
            tally.add(answers, len(batch))
            yield with_answers(declaration, as_written(columns, declaration), answers)
