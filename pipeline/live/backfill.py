"""Live features of requests from recorded events: files in, Parquet out, each step a shard of keys at a time.

Read (a file) -> events and requests in pieces by entity and shard -> answer (a shard) -> values in pieces by the
requests' file and block -> join (a block) with the requests' own columns. Pieces are files; what is grouped is their
paths.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from modules.kernel import row
from modules.kernel.answer import Requests, answer
from modules.kernel.cells import sort_order
from modules.kernel.hashing import hash_columns
from modules.kernel.keys import code_keys
from modules.kernel.plan import Entity
from modules.kernel.take import Columns, Events
from modules.kernel.window import slots_of
from modules.live import entities
from modules.spec import Declaration, InputError, Typed
from pipeline.ingest.files import InputFile
from pipeline.ingest.fingerprint import stamped
from pipeline.ingest.problems import Problem, merge
from pipeline.ingest.readers import read_batches
from pipeline.live.account import Account, Rejection
from pipeline.live.columns import event_columns, included_columns, merged_columns, request_columns
from pipeline.live.parse import parse
from pipeline.live.pieces import Group, PieceWriter, read_pieces
from pipeline.live.requests import as_written, canonical, conform_requests, with_path

BLOCK_ROWS = 1 << 19
"""Requests that are joined in memory at a time."""
_ANSWERED_AT_ONCE = 1 << 18
_EXAMPLES = 3
_ACCOUNT = "account"


@dataclasses.dataclass(eq=False)
class Backfill(beam.PTransform):
    """PBegin -> PCollection of one `Account`; writes `part-<file>-<block>.parquet` below `output`.

    Each request becomes one row: its columns, its id, and its live features as int64 and float64. If the account says
    that requests are refused, nothing is written.
    """

    declaration: Declaration
    events: list[tuple[str, InputFile]]
    """The files of events, each with its source; those of sources without features are not read."""
    requests: list[InputFile]
    """The files of requests: rows with the dataset's columns."""
    scratch: str
    """A directory that all workers reach, for pieces; whoever runs the pipeline removes it."""
    output: str
    """A directory that all workers reach."""
    shards: int
    """Into how many parts each entity's keys are split: memory is that of one part, at least of one key."""

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Account]:
        kinds = entities(self.declaration)
        shape = _Shape(self.declaration, kinds, self.scratch, self.shards)
        used = {entity.source.name for entity in kinds}
        events = (
            begin
            | "EventFiles" >> beam.Create([(source, file) for source, file in self.events if source in used])
            | "ReadEvents" >> beam.ParDo(_ReadEvents(shape)).with_outputs(_ACCOUNT, main="pieces")
        )
        requests = (
            begin
            | "RequestFiles" >> beam.Create(list(enumerate(self.requests)))
            | "ReadRequests" >> beam.ParDo(_ReadRequests(shape)).with_outputs(_ACCOUNT, "rows", main="pieces")
        )
        read = (
            (events[_ACCOUNT], requests[_ACCOUNT])
            | "Read" >> beam.Flatten()
            | "AccountForRead" >> beam.CombineGlobally(Account.total)
        )
        answers = (
            {"events": events.pieces, "requests": requests.pieces}
            | "Shards" >> beam.CoGroupByKey()
            | "Answer"
            >> beam.ParDo(_Answer(shape), beam.pvalue.AsSingleton(read)).with_outputs(_ACCOUNT, main="pieces")
        )
        joined = (
            {"rows": requests.rows, "answers": answers.pieces}
            | "Blocks" >> beam.CoGroupByKey()
            | "Join" >> beam.ParDo(_Join(shape, self.output), beam.pvalue.AsSingleton(read))
        )
        return (
            (read, answers[_ACCOUNT], joined)
            | "All" >> beam.Flatten()
            | "Account" >> beam.CombineGlobally(Account.total)
        )


@dataclasses.dataclass(frozen=True)
class _Shape:
    """What every step knows."""

    declaration: Declaration
    entities: tuple[Entity, ...]
    scratch: str
    shards: int

    def split(self, columns: Columns, key: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The shard of each row by its key, and which rows have none; int64 and bool, shape (rows,)."""
        null = np.zeros(len(columns[key[0]]), bool)
        for name in key:
            null |= pc.is_null(columns[name]).to_numpy(zero_copy_only=False)
        hashes = hash_columns([columns[name] for name in key])[0].view(np.uint64)
        return (hashes % np.uint64(self.shards)).astype(np.int64), null


class _ReadEvents(beam.DoFn):
    """(source, file) -> events that count, in pieces by (entity, shard); and an account."""

    def __init__(self, shape: _Shape) -> None:
        self._shape = shape

    def process(self, element: tuple[str, InputFile]) -> Iterator[Any]:
        name, file = element
        account = Account(events={name: 0})
        writer = PieceWriter(self._shape.scratch)
        try:
            self._write(name, file, writer, account)
        except InputError as error:
            account.unreadable.append(with_path(file.path, error))
        yield from writer.close()
        yield beam.pvalue.TaggedOutput(_ACCOUNT, Account.total([account]))

    def _write(self, name: str, file: InputFile, writer: PieceWriter, account: Account) -> None:
        shape = self._shape
        mine = [(n, entity) for n, entity in enumerate(shape.entities) if entity.source.name == name]
        source = mine[0][1].source
        types = event_columns(shape.declaration, source, shape.entities)
        unsplit: list[Problem] = []
        for numbers, batch in read_batches(file, None, types, unsplit):
            parsed = parse(source, types, batch, None)
            account.events[name] += len(batch)
            for rejected in parsed.rejected:
                examples = tuple(f"{file.path}, row {number}" for number in numbers[rejected.rows[:_EXAMPLES]])
                account.rejections.append(
                    Rejection(name, rejected.reason, rejected.detail, len(rejected.rows), examples)
                )
            for number, entity in mine:
                self._split(number, entity, parsed.events, writer, account)
        for bad in merge(unsplit):
            account.events[name] += bad.count
            account.rejections.append(Rejection(name, "schema", f"accepted: {bad.accepted}", bad.count, bad.examples))

    def _split(self, number: int, entity: Entity, events: Events, writer: PieceWriter, account: Account) -> None:
        shards, null = self._shape.split(events.columns, entity.key)
        columns = merged_columns(entity)
        rows = pa.RecordBatch.from_arrays(
            [*(events.columns[name] for name in columns), *map(pa.array, events.ids)], [*columns, "id", "id"]
        )
        if null.any():
            account.without_key[entity.name] = account.without_key.get(entity.name, 0) + int(null.sum())
            rows, shards = rows.filter(pa.array(~null)), shards[~null]
        writer.write(number, shards, rows)


class _ReadRequests(beam.DoFn):
    """(number, file) -> requests in pieces by (entity, shard); their columns by (file, block); and an account."""

    def __init__(self, shape: _Shape) -> None:
        self._shape = shape

    def process(self, element: tuple[int, InputFile]) -> Iterator[Any]:
        number, file = element
        account = Account()
        shards, blocks = PieceWriter(self._shape.scratch), PieceWriter(self._shape.scratch)
        try:
            self._write(number, file, shards, blocks, account)
        except InputError as error:
            account.unreadable.append(with_path(file.path, error))
        yield from shards.close()
        yield from (beam.pvalue.TaggedOutput("rows", piece) for piece in blocks.close())
        yield beam.pvalue.TaggedOutput(_ACCOUNT, Account.total([account]))

    def _write(self, number: int, file: InputFile, shards: PieceWriter, blocks: PieceWriter, account: Account) -> None:
        spec = self._shape.declaration
        assert spec.time is not None
        for numbers, batch in read_batches(file, spec.columns, spec.columns, account.problems):
            columns = conform_requests(spec, self._shape.entities, file.path, numbers, batch, account.problems)
            rows = np.arange(account.requests, account.requests + len(batch))
            account.requests += len(batch)
            if account.problems:
                continue
            blocks.write(number, rows // BLOCK_ROWS, as_written(columns, spec))
            for at, entity in enumerate(self._shape.entities):
                where, null = self._shape.split(columns, entity.key)
                where[null] = rows[null] % self._shape.shards  # they meet no events, and may be many
                names = request_columns(entity)
                arrays = [columns[name] for name in names]
                slots = slots_of(columns[spec.time].to_numpy(), entity.source.tick)
                place = [pa.array(slots), pa.array(np.full(len(rows), number)), pa.array(rows)]
                part = pa.RecordBatch.from_arrays([*arrays, *place], [*names, "slot", "file", "row"])
                shards.write(at, where, part)


class _Answer(beam.DoFn):
    """((entity, shard), pieces of events and requests) -> values in pieces by (file, block); and an account."""

    def __init__(self, shape: _Shape) -> None:
        self._shape = shape

    def process(self, element: tuple[Group, dict[str, list[str]]], read: Account) -> Iterator[Any]:
        (number, _), pieces = element
        if read.refused or not pieces["requests"]:
            return
        entity, spec = self._shape.entities[number], self._shape.declaration
        events, (high, low) = _gather(
            pieces["events"], merged_columns(entity), event_columns(spec, entity.source, self._shape.entities), 2
        )
        requests, (slots, files, rows) = _gather(pieces["requests"], request_columns(entity), spec.columns, 3)
        owners, _ = code_keys([pa.concat_arrays([events[name], requests[name]]) for name in entity.key])
        times = events[entity.source.time].to_numpy()
        taken = Events(events, times, slots_of(times, entity.source.tick), np.stack([high, low]))
        cells, marks, repeated = row.history(entity, taken, owners[: len(times)])
        owners = owners[len(times) :]
        taken_in = included_columns(entity)
        del events, taken, times, high, low
        for start, stop in _runs(files, _ANSWERED_AT_ONCE):
            part = start + sort_order(owners[start:stop], slots[start:stop])  # neighbours read the same cells
            asked = Requests(
                owners[part], slots[part], {name: requests[name].take(pa.array(part)) for name in taken_in}
            )
            found = answer(entity, cells, marks, asked).by_name()
            values = pa.RecordBatch.from_arrays(
                [pa.array(rows[part]), *(pa.array(found[feature.name].values) for feature in entity.features)],
                ["row", *(feature.name for feature in entity.features)],
            )
            writer = PieceWriter(self._shape.scratch)
            writer.write(int(files[start]), rows[part] // BLOCK_ROWS, values)
            yield from writer.close()
        yield beam.pvalue.TaggedOutput(_ACCOUNT, Account(repeated={entity.name: repeated}))


class _Join(beam.DoFn):
    """((file, block), pieces of requests and of their values) -> an account; writes one Parquet file."""

    def __init__(self, shape: _Shape, output: str) -> None:
        self._shape = shape
        self._output = output

    def process(self, element: tuple[Group, dict[str, list[str]]], read: Account) -> Iterator[Account]:
        (file, block), pieces = element
        if read.refused:
            return
        spec = self._shape.declaration
        requests = pa.Table.from_batches(read_pieces(pieces["rows"]))
        kinds = {feature.name: feature.dtype for entity in self._shape.entities for feature in entity.features}
        values: dict[str, np.ndarray] = {name: np.empty(len(requests), kinds[name]) for name in spec.live_features}
        answered = np.zeros(len(requests), np.int64)
        for batch in read_pieces(pieces["answers"]):
            at = batch.column(0).to_numpy() - block * BLOCK_ROWS
            answered[at] += 1
            for name in batch.schema.names[1:]:
                values[name][at] = batch.column(name).to_numpy()
        if (answered != len(self._shape.entities)).any():
            raise AssertionError(f"requests of file {file} were not answered once by each entity")
        for name, column in values.items():
            requests = requests.append_column(name, pa.array(column))
        requests = requests.cast(stamped(requests.schema, spec))
        path = FileSystems.join(self._output, f"part-{file:05d}-{block:05d}.parquet")
        text = [field.name for field in requests.schema if pa.types.is_string(field.type)]
        with FileSystems.create(path) as sink:
            pq.write_table(requests, sink, use_dictionary=text)
        yield Account()


def _gather(
    paths: Iterable[str], names: list[str], types: Mapping[str, Typed], others: int
) -> tuple[Columns, list[np.ndarray]]:
    """The rows of pieces, as columns: the named ones, and after them so many of int64."""
    kinds = [*(canonical(types[name]) for name in names), *[pa.int64()] * others]
    batches = list(read_pieces(paths))
    arrays = [
        pa.concat_arrays([pa.array([], kind), *(batch.column(at) for batch in batches)])
        for at, kind in enumerate(kinds)
    ]
    return dict(zip(names, arrays, strict=False)), [array.to_numpy() for array in arrays[len(names) :]]


def _runs(files: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Runs of requests of one file, each of at most so many."""
    bounds = [*np.flatnonzero(np.diff(files, prepend=-1)).tolist(), len(files)]
    for first, last in itertools.pairwise(bounds):
        for start in range(first, last, most):
            yield start, min(start + most, last)
