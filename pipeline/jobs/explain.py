"""Why a live feature of one key has its value at one time: from the recorded events, and beside it the online row."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modules.kernel import explain as kernel
from modules.kernel.bits import bits
from modules.kernel.explain import Counted, Held, takings
from modules.kernel.keys import Value
from modules.kernel.plan import Entity, Feature
from modules.kernel.rounding import to_example
from modules.kernel.take import Columns, take
from modules.kernel.window import slots_of
from modules.live import entities
from modules.spec import Declaration, InputError, Typed
from pipeline.ingest.conform import conform
from pipeline.ingest.files import InputFile
from pipeline.ingest.problems import Problem
from pipeline.ingest.readers import read_batches
from pipeline.live.columns import event_columns, request_columns
from pipeline.live.parse import parse
from pipeline.live.reader import FeatureReader, Status
from pipeline.live.requests import canonical, unusable, with_path

Request = Mapping[str, Value | float | None]

NEAREST = 5
"""How many events of each reason are shown, those nearest to the window."""

REASONS: dict[str, str] = {
    "too old": "before the window",
    "delay": "not yet older than the delay",
    "edge": "older than the delay, but the near edge moves in steps",
    "own tick": "in the tick of the request, which no request sees",
    "too new": "after the request",
    "duplicate": "the same event is there before",
    "filtered": "the filter is not met",
    "null value": "there is no value to take in",
    "late": "taken in too late",
    "future": "from the future, when it was taken in",
    "value": "a number is not finite, or 2^53 or more in its units",
    "schema": "a column cannot be read as it is declared",
}
"""Why an event is out, in words."""
_BY_FATE = {
    kernel.IN: "in",
    kernel.OLD: "too old",
    kernel.EDGE: "edge",
    kernel.DELAY: "delay",
    kernel.OWN_TICK: "own tick",
    kernel.AFTER: "too new",
    kernel.REPEATED: "duplicate",
    kernel.FILTERED: "filtered",
    kernel.NULL: "null value",
}


@dataclasses.dataclass(frozen=True)
class Event:
    """An event of the key."""

    time: int | None
    """In microseconds; None where it cannot be read."""
    path: str
    row: int
    """Where it is; rows are counted from 1, the header not included."""
    columns: dict[str, Any]
    """What was read of it that the feature or a verdict looks at, as it is declared."""
    taken: tuple[int, ...]
    """What is taken in of it, in units of the scale; of a ratio for the dividend, then for the divisor."""


@dataclasses.dataclass(frozen=True)
class OnlineRow:
    """What an online store says of the same window."""

    value: float
    bits: str
    status: str
    """known, empty, unknown or too old."""
    complete: bool
    watermark: int
    """Of the source, in microseconds of ingest time; everything ingested before it is merged."""
    held: Held


@dataclasses.dataclass(frozen=True)
class Explained:
    """One value, and what it was made from; times in microseconds, bits as hexadecimal digits."""

    feature: Feature
    key: dict[str, Value | None]
    time: int
    tick: int
    slot: int
    """Of the request."""
    start: int
    """The first slot of the window."""
    stop: int
    """The first slot after it."""
    source: str
    files: tuple[str, ...]
    """Of its events."""
    read: int
    """Events of the source."""
    of_key: int
    """Those of them that have the key."""
    counts: dict[str, int]
    """Those of the key that are `in`, and those that are out by reason."""
    events: tuple[Event, ...]
    """Those that are in, in the order of their times."""
    out: dict[str, tuple[Event, ...]]
    """The others by reason: those nearest to the window, nearest first."""
    held: Held
    empty: bool
    """Whether there is nothing to compute the value from, so that it is the default."""
    value: float
    bits: str
    example: float
    """The value, rounded once to what the model takes."""
    example_bits: str
    online: OnlineRow | None

    @property
    def includes_request(self) -> bool:
        """Whether the request counts as one more event."""
        return self.feature.include_request and None not in self.key.values()

    @property
    def counted(self) -> Counted:
        """The events that are in, in a few numbers."""
        return dataclasses.replace(self.held.counted(self.tick), events=self.counts["in"])


def find(declaration: Declaration, name: str) -> tuple[Entity, Feature]:
    """A live feature by its name, and whose it is."""
    return next((each, f) for each in entities(declaration) for f in each.features if f.name == name)


def asked_columns(declaration: Declaration, name: str) -> dict[str, Typed]:
    """The columns of a request that a live feature is computed from, beside its time; the key's first."""
    entity, feature = find(declaration, name)
    alone = dataclasses.replace(entity, features=(feature,))
    columns = dict.fromkeys((*entity.key, *request_columns(alone)))
    return {column: declaration.columns[column] for column in columns}


def explain(
    declaration: Declaration,
    name: str,
    request: Request,
    time: int,
    files: Sequence[tuple[str, InputFile]],
    store: str | None = None,
) -> Explained:
    """Computes one value from the recorded events, as the backfill does, and says what it was made from.

    Args:
      declaration: The live features.
      name: One of them.
      request: The values of `asked_columns`.
      time: The request's, in microseconds.
      files: The files of events, each with its source.
      store: The URL of an online store whose row is to be shown beside it.

    Raises:
      InputError: A file cannot be read, or the request does not fit.
      StoreUnavailable: The store is down or too slow.
    """
    entity, feature = find(declaration, name)
    source = entity.source
    columns = _request(declaration, entity, request)
    for column, rule, bad in unusable(entity, columns, np.array([time], np.int64)):
        if bad.any():
            raise InputError(f"{column}={request[column]}: accepted: {rule}.")
    key = {column: request[column] for column in entity.key}
    known = None not in key.values()
    found = _Found(declaration, entity, feature, key)
    for of, file in files:
        if of == source.name:
            found.read(file)
    slot = int(slots_of(np.array([time], np.int64), source.tick)[0])
    events, places = found.events()
    explained = kernel.explain(entity, feature, take(source, events), known, slot, columns)
    counts, inside, out = found.sort(events, places, explained)
    value = explained.answer.values
    example = to_example(value)
    return Explained(
        feature=feature,
        key=key,  # type: ignore[arg-type]
        time=time,
        tick=source.tick,
        slot=slot,
        start=explained.start,
        stop=explained.stop,
        source=source.name,
        files=tuple(file.path for of, file in files if of == source.name),
        read=found.all,
        of_key=found.mine,
        counts=counts,
        events=inside,
        out=out,
        held=explained.held,
        empty=bool(explained.answer.empty[0]),
        value=value[0].item(),
        bits=bits(value[0]),
        example=example[0].item(),
        example_bits=bits(example[0]),
        online=_online(declaration, name, request, time, store) if store else None,
    )


def _request(declaration: Declaration, entity: Entity, request: Request) -> Columns:
    """The request's columns that any feature of the entity takes in; null where this feature does not."""
    types = {column: canonical(declaration.columns[column]) for column in request_columns(entity)}
    return {column: pa.array([request.get(column)], kind) for column, kind in types.items()}


class _Found:
    """The events of one key, file by file."""

    def __init__(self, declaration: Declaration, entity: Entity, feature: Feature, key: Request) -> None:
        self._source, self._key = entity.source, key
        self._types = event_columns(declaration, entity.source, entities(declaration))
        assert declaration.live is not None
        shown = {*(declaration.live.sources[self._source.name].id or ()), self._source.ingest_time}
        for taking in takings(feature):
            shown |= {taking.value} | {condition.column for condition in taking.filter}
        self._shown = [name for name in self._types if name in shown]
        self._parts: list[Columns] = []
        self._places: list[tuple[str, int]] = []
        self._rejected: dict[str, list[Event]] = {}
        self.all = self.mine = 0

    def read(self, file: InputFile) -> None:
        """Adds the events of a file."""
        unsplit: list[Problem] = []
        try:
            for numbers, batch in read_batches(file, None, self._types, unsplit):
                self.all += len(batch)
                at = np.flatnonzero(self._has_key(batch))
                if len(at):
                    self._add(file.path, numbers[at], batch.take(pa.array(at)))
        except InputError as error:
            raise InputError(with_path(file.path, error)) from None
        self.all += sum(problem.count for problem in unsplit)

    def _has_key(self, batch: pa.RecordBatch) -> np.ndarray:
        """Which events have the key; bool, shape (rows,)."""
        mine = np.ones(len(batch), bool)
        for name, value in self._key.items():
            values, _ = conform(batch.column(name), self._types[name], name)
            same = pc.equal(values, pa.scalar(value, values.type))  # null where one of them is
            mine &= pc.fill_null(same, False).to_numpy(zero_copy_only=False)
        return mine

    def _add(self, path: str, numbers: np.ndarray, rows: pa.RecordBatch) -> None:
        self.mine += len(rows)
        parsed = parse(self._source, self._types, rows, None)
        self._parts.append(parsed.events.columns)
        self._places += [(path, number) for number in numbers[parsed.rows].tolist()]
        for rejected in parsed.rejected:
            some = rows.take(pa.array(rejected.rows))
            columns = {n: conform(some.column(n), self._types[n], n)[0] for n in [self._source.time, *self._shown]}
            times = columns[self._source.time].to_pylist()
            self._rejected.setdefault(rejected.reason, []).extend(
                Event(time, path, number, self._columns(columns, at), ())
                for at, (time, number) in enumerate(zip(times, numbers[rejected.rows].tolist(), strict=True))
            )

    def events(self) -> tuple[Columns, list[tuple[str, int]]]:
        """Those that count, and where each is."""
        columns = {
            name: pa.concat_arrays([pa.array([], canonical(typed)), *(part[name] for part in self._parts)])
            for name, typed in self._types.items()
        }
        return columns, self._places

    def sort(
        self, columns: Columns, places: list[tuple[str, int]], explained: kernel.Explained
    ) -> tuple[dict[str, int], tuple[Event, ...], dict[str, tuple[Event, ...]]]:
        """How many events there are of each reason; those that are in; and the nearest of the others."""
        times = columns[self._source.time].to_numpy(zero_copy_only=False)
        tick, window = self._source.tick, (explained.start, explained.stop)

        def event(at: int) -> Event:
            taken = tuple(int(numbers[at]) for numbers in explained.numbers)
            return Event(int(times[at]), *places[at], self._columns(columns, at), taken)

        inside = np.flatnonzero(explained.fates == kernel.IN)
        counts, out = Counter({"in": len(inside)}), {}
        for fate, reason in _BY_FATE.items():
            at = np.flatnonzero(explained.fates == fate)
            if fate != kernel.IN and len(at):
                counts[reason] = len(at)
                out[reason] = tuple(event(n) for n in at[kernel.nearest(times[at], *window, tick)][:NEAREST].tolist())
        for reason, events in self._rejected.items():
            counts[reason] = len(events)
            timed = [each for each in events if each.time is not None]
            order = kernel.nearest(np.array([each.time for each in timed], np.int64), *window, tick).tolist()
            ordered = [*(timed[at] for at in order), *(each for each in events if each.time is None)]
            out[reason] = tuple(ordered[:NEAREST])
        return dict(counts), tuple(event(at) for at in inside[np.argsort(times[inside], kind="stable")].tolist()), out

    def _columns(self, columns: Columns, at: int) -> dict[str, Any]:
        return {name: columns[name][at].as_py() for name in self._shown}


def _online(declaration: Declaration, name: str, request: Request, time: int, store: str) -> OnlineRow:
    with FeatureReader.open(declaration, store) as reader:
        (values, status, complete), watermark, held, _ = reader.inspect(name, request, time)
    return OnlineRow(
        value=values[0].item(),
        bits=bits(values[0]),
        status=Status(int(status[0])).words,
        complete=bool(complete[0]),
        watermark=watermark,
        held=held,
    )
