"""The Beam transforms of batch prediction: requests or answered rows in, Parquet with scores out."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference

from modules.spec import Declaration, InputError, StoreUnavailable
from pipeline.ingest.files import InputFile, readable
from pipeline.live.account import Account
from pipeline.live.answered import COMPLETE_SUFFIX, with_answers
from pipeline.live.reader import FeatureReader
from pipeline.live.requests import with_path
from pipeline.prediction.counts import Counts
from pipeline.prediction.model import SCORE, SavedModelHandler
from pipeline.prediction.requests import read_requests

Place = tuple[int, int]
"""Where rows belong in the output: the number of their file, and of their batch in it."""
Rows = tuple[Place, pa.RecordBatch]

ACCOUNT, COUNTS = "account", "counts"
_BATCH_ROWS = 1 << 16


@dataclasses.dataclass(eq=False)
class Predict(beam.PTransform):
    """(place, rows with live features) -> PCollection of `Counts`; writes `part-<file>-<batch>.parquet` each.

    A batch is scored and written as soon as the next one is there, so that memory is that of two.
    """

    declaration: Declaration
    model: str
    """The directory of a version, which all workers reach."""
    batch_rows: int
    """How many rows one call of the model gets at most."""
    output: str
    """A directory that all workers reach."""

    def expand(self, rows: beam.PCollection[Rows]) -> beam.PCollection[Counts]:
        handler = SavedModelHandler(self.model, self.declaration, self.batch_rows)
        return (
            rows
            | "Score" >> RunInference(KeyedModelHandler(handler))
            | "Write" >> beam.ParDo(_Write(self.declaration, self.output))
        )


class ReadRequests(beam.DoFn):
    """(number, file) -> (place, requests) of each batch; and an account."""

    def __init__(self, declaration: Declaration) -> None:
        self._declaration = declaration

    def process(self, element: tuple[int, InputFile]) -> Iterator[Any]:
        number, file = element
        account = Account()
        try:
            for at, rows in enumerate(read_requests(self._declaration, file, account.problems)):
                account.requests += len(rows)
                yield (number, at), rows
        except InputError as error:
            account.unreadable.append(with_path(file.path, error))
        yield beam.pvalue.TaggedOutput(ACCOUNT, Account.total([account]))


class KeepRequests(beam.DoFn):
    """(number, file) -> an account; writes the requests, if there are any, as Parquet with the dataset's columns."""

    def __init__(self, declaration: Declaration, directory: str) -> None:
        self._declaration = declaration
        self._directory = directory

    def process(self, element: tuple[int, InputFile]) -> Iterator[Account]:
        number, file = element
        account = Account()
        with contextlib.ExitStack() as stack:
            writer = None
            try:
                for rows in read_requests(self._declaration, file, account.problems):
                    account.requests += len(rows)
                    kept = rows.select(list(self._declaration.columns))
                    if writer is None:
                        path = FileSystems.join(self._directory, f"{number:05d}.parquet")
                        sink = stack.enter_context(FileSystems.create(path))
                        writer = stack.enter_context(pq.ParquetWriter(sink, kept.schema))
                    writer.write_batch(kept)
            except InputError as error:
                account.unreadable.append(with_path(file.path, error))
        yield Account.total([account])


class LookUp(beam.DoFn):
    """(place, requests) -> (place, requests with what a store answers); and counts, if the store is away.

    Once it is away it is not asked again: nothing of the output would be kept.
    """

    def __init__(self, declaration: Declaration, store: str) -> None:
        self._declaration = declaration
        self._store = store

    def setup(self) -> None:
        self._away = False
        self._reader = FeatureReader.open(self._declaration, self._store)

    def teardown(self) -> None:
        self._reader.close()

    def process(self, element: Rows) -> Iterator[Any]:
        place, rows = element
        if self._away:
            return
        assert self._declaration.time is not None
        times = pc.cast(rows.column(self._declaration.time), pa.int64()).to_numpy()
        try:
            answers = self._reader.read(dict(zip(rows.schema.names, rows.columns, strict=True)), times)
        except StoreUnavailable as error:
            self._away = True
            yield beam.pvalue.TaggedOutput(COUNTS, Counts(away=(str(error),)))
            return
        yield place, with_answers(self._declaration, rows, answers)


class ReadAnswered(beam.DoFn):
    """(number, path of Parquet that a backfill wrote) -> (place, rows) of each batch."""

    def process(self, element: tuple[int, str]) -> Iterator[Rows]:
        number, path = element
        with pq.ParquetFile(readable(path)) as file:
            for at, rows in enumerate(file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False)):
                yield (number, at), rows


class _Write(beam.DoFn):
    """(place, rows with scores) -> counts; one Parquet file."""

    def __init__(self, declaration: Declaration, output: str) -> None:
        self._declaration = declaration
        self._output = output

    def process(self, element: Rows) -> Iterator[Counts]:
        (file, batch), rows = element
        text = [field.name for field in rows.schema if pa.types.is_string(field.type)]
        with FileSystems.create(FileSystems.join(self._output, f"part-{file:05d}-{batch:05d}.parquet")) as sink:
            pq.write_table(pa.Table.from_batches([rows]), sink, use_dictionary=text)
        scored = rows.filter(pc.is_valid(rows.column(SCORE)))
        incomplete = pa.nulls(len(scored), pa.bool_()).fill_null(False)
        for name in self._declaration.live_features:
            if name + COMPLETE_SUFFIX in rows.schema.names:
                incomplete = pc.or_(incomplete, pc.invert(scored.column(name + COMPLETE_SUFFIX)))
        yield Counts(len(scored), len(rows) - len(scored), pc.sum(incomplete).as_py() or 0)
