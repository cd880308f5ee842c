"""Answers "the features of this key at this time" from an online store."""

import enum
import itertools
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa

from modules.kernel import row
from modules.kernel.answer import Requests, answer
from modules.kernel.explain import Held, held
from modules.kernel.keys import Value, code_keys, encode_key
from modules.kernel.plan import Entity
from modules.kernel.take import Columns
from modules.kernel.window import NEVER, complete, slots_of
from modules.live import entities
from modules.spec import Declaration, InputError, Typed
from pipeline.ingest.conform import accepted
from pipeline.live.columns import included_columns, request_columns
from pipeline.live.place import Place
from pipeline.live.requests import canonical, unusable
from pipeline.live.watermark import source_watermark
from pipeline.stores.store import OnlineStore, RowKey, Snapshot

_INT64 = range(-(2**63), 2**63)
_NOBODY, _ONE = np.array([-1]), np.array([0])


class Status(enum.IntEnum):
    """What a value is made from."""

    KNOWN = 0
    """Events."""
    EMPTY = 1
    """Nothing: the key has a row, and no event of it is in the window. The value is the default."""
    UNKNOWN = 2
    """Nothing: the key has no row, or a null in it. The value is the default."""
    TOO_OLD = 3
    """The request is older than what the store still answers. The value is not to be used."""

    @property
    def words(self) -> str:
        """Its name: known, empty, unknown, too old."""
        return self.name.lower().replace("_", " ")


_KNOWN = np.int8(Status.KNOWN)
_OF_NOTHING = np.array([Status.UNKNOWN, Status.EMPTY], np.int8)
"""What an empty value is, by whether the row is known."""


class LiveValue(NamedTuple):
    """One feature for each request; all arrays have the shape (requests,)."""

    values: np.ndarray
    """int64 or float64."""
    status: np.ndarray
    """int8: a `Status`."""
    complete: np.ndarray
    """bool: whether all events that count are merged, so that the value is that of a backfill."""


class Look(NamedTuple):
    """What was read for some requests, and how far the store was then."""

    values: dict[str, LiveValue]
    """By feature."""
    watermarks: dict[str, int]
    """By source, microseconds of ingest time: everything that was ingested before it is in the values; NEVER if
    nothing is known."""
    oldest: np.ndarray
    """int64, shape (requests,): of a refused request the oldest time, in microseconds, that is answered."""


class Inspected(NamedTuple):
    """One feature of one request, and what it is read from."""

    value: LiveValue
    """Of shape (1,)."""
    watermark: int
    """Of its source; see `Look`."""
    held: Held
    """What the row holds in its window."""
    tick: int
    """Of its source, in microseconds."""


class FeatureReader:
    """Reads live features; one multi-get a call.

    Threads may share one: nothing in it changes once it is made, and a store lends each call a connection.
    """

    def __init__(self, declaration: Declaration, store: OnlineStore) -> None:
        """Reads nothing yet.

        Args:
          declaration: The features.
          store: Where their rows are; it is closed with the reader.
        """
        self._store = store
        self._plans = [_Plan(entity) for entity in entities(declaration)]
        self._sources = list(dict.fromkeys(plan.entity.source.name for plan in self._plans))
        needed = sorted({name for plan in self._plans for name in request_columns(plan.entity)})
        self._types: dict[str, Typed] = {name: declaration.columns[name] for name in needed}

    @classmethod
    def open(cls, declaration: Declaration, url: str) -> Self:
        """A reader of the rows that a stream of this declaration keeps.

        Raises:
          InputError: The URL names no store.
        """
        return cls(declaration, Place(url, declaration.features_fingerprint).open())

    def close(self) -> None:
        """Gives the store's connections back."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, columns: Columns, times: np.ndarray) -> dict[str, LiveValue]:
        """The live features of many requests, by name; see `look`."""
        return self.look(columns, times).values

    def look(self, columns: Columns, times: np.ndarray) -> Look:
        """The live features of many requests, and how far the store is.

        Args:
          columns: The columns of the keys, and those that features with `include_request` take in, others are left
            alone; each of shape (requests,), of type int64, float64, string or bool.
          times: int64, shape (requests,): microseconds since 1970-01-01T00:00:00Z.

        Raises:
          InputError: A column is missing, or not of the declared type.
          StoreUnavailable: The store is down or too slow; nothing is tried again.
        """
        if times.dtype != np.int64 or times.ndim != 1:
            raise InputError(f"times of requests: read {times.dtype} of shape {times.shape}; accepted: one int64 each.")
        for name, typed in self._types.items():
            self._check_there(name, columns)
            if columns[name].type != canonical(typed):
                raise InputError(f"column {name} of requests: read {columns[name].type}; accepted: {canonical(typed)}.")
            if len(columns[name]) != len(times):
                raise InputError(f"column {name} of requests: {len(columns[name])} values for {len(times)} times.")
        keys = [code_keys([columns[name] for name in plan.entity.key]) for plan in self._plans]
        return self._answer(self._fetch(keys, columns, times), keys, columns, times)

    def read_one(self, request: Mapping[str, Value | float | None], time: int) -> dict[str, LiveValue]:
        """The live features of one request, by name; see `look_one`."""
        return self.look_one(request, time).values

    def look_one(self, request: Mapping[str, Value | float | None], time: int) -> Look:
        """What `look` gives for one request, sooner.

        Args:
          request: The values of those columns; others are left alone.
          time: Microseconds since 1970-01-01T00:00:00Z.

        Raises:
          InputError: A value is missing (a null is None), or not of the declared type.
          StoreUnavailable: The store is down or too slow; nothing is tried again.
        """
        keys, columns = self._one(request)
        times = np.array([time], np.int64)
        return self._answer(self._fetch(keys, columns, times), keys, columns, times)

    def inspect(self, name: str, request: Mapping[str, Value | float | None], time: int) -> Inspected:
        """One live feature of one request, and what the online row holds in its window.

        Args:
          name: The feature.
          request: The values of the columns that it is computed from; others may be left out.
          time: Microseconds since 1970-01-01T00:00:00Z.

        Raises:
          InputError, StoreUnavailable: As `look_one`.
        """
        keys, columns = self._one(dict.fromkeys(self._types) | dict(request))
        times = np.array([time], np.int64)
        snapshot = self._fetch(keys, columns, times)
        look = self._answer(snapshot, keys, columns, times)
        at, entity, feature = next(
            (at, plan.entity, feature)
            for at, plan in enumerate(self._plans)
            for feature in plan.entity.features
            if feature.name == name
        )
        known = len(keys[at][1]) > 0
        stored = snapshot.rows[sum(len(mine) for _, mine in keys[:at])] if known else None
        cells, marks, _ = row.decode(entity, [stored])
        own = columns if known and feature.include_request else None
        slot = int(slots_of(times, entity.source.tick)[0])
        seen = held(entity, feature, cells, marks, slot, own)
        return Inspected(look.values[name], look.watermarks[entity.source.name], seen, entity.source.tick)

    def _one(self, request: Mapping[str, Value | float | None]) -> tuple[list[tuple[np.ndarray, list[bytes]]], Columns]:
        """The keys of one request, by plan, and its columns that the kernel looks at."""
        for name, typed in self._types.items():
            self._check_there(name, request)
            if not _fits(request[name], typed):
                raise InputError(f"column {name} of a request: read {request[name]!r}; accepted: {accepted(typed)}.")
        keys: list[tuple[np.ndarray, list[bytes]]] = []
        columns: Columns = {}
        for plan in self._plans:
            key = [value for name in plan.entity.key if (value := request[name]) is not None]
            keys.append((_ONE, [encode_key(key)]) if len(key) == len(plan.entity.key) else (_NOBODY, []))  # type: ignore[arg-type]
            for name in plan.columns:
                columns[name] = pa.array([request[name]], canonical(self._types[name]))
        return keys, columns

    def watermarks(self) -> dict[str, int]:
        """How far the store is, by source; see `Look`.

        Raises:
          StoreUnavailable: The store is down or too slow; nothing is tried again.
        """
        registers = self._store.registers()
        return {name: source_watermark(name, registers) for name in self._sources}

    def _check_there(self, name: str, columns: Columns | Mapping[str, object]) -> None:
        if name not in columns:
            raise InputError(f"column {name} of requests is missing; needed are {', '.join(self._types)}.")

    def _fetch(self, keys: Sequence[tuple[np.ndarray, list[bytes]]], columns: Columns, times: np.ndarray) -> Snapshot:
        """The rows of the keys, plan by plan, once it is clear that the requests can be answered."""
        for plan in self._plans:
            for name, rule, bad in unusable(plan.entity, columns, times) if plan.columns else ():
                if bad.any():
                    value = columns[name][int(bad.argmax())].as_py()
                    raise InputError(f"column {name} of a request: read {value!r}; accepted: {rule}.")
        places = [RowKey(plan.name, key) for plan, (_, mine) in zip(self._plans, keys, strict=True) for key in mine]
        return self._store.fetch(places)

    def _answer(
        self,
        snapshot: Snapshot,
        keys: Sequence[tuple[np.ndarray, list[bytes]]],
        columns: Columns,
        times: np.ndarray,
    ) -> Look:
        watermarks = {name: source_watermark(name, snapshot.registers) for name in self._sources}
        values: dict[str, LiveValue] = {}
        oldest, rows = np.full(len(times), NEVER), iter(snapshot.rows)
        for plan, (owners, mine) in zip(self._plans, keys, strict=True):
            source = plan.entity.source
            stored = [*itertools.islice(rows, len(mine)), None]  # the last is the row of -1
            cells, marks, lowest = row.decode(plan.entity, stored)
            floors = np.maximum(lowest.take(owners), snapshot.floors.get(source.name, NEVER))
            slots = slots_of(times, source.tick)
            old = slots < floors
            refused = old.any()
            asked = np.where(old, -1, owners) if refused else owners
            found = answer(plan.entity, cells, marks, Requests(asked, slots, columns))
            known = np.array([parts is not None for parts in stored]).take(owners)
            status = np.where(found.empty, _OF_NOTHING.take(known), _KNOWN)
            whole = complete(found.stops, watermarks[source.name] - source.slack, source.lateness, source.tick)
            whole |= owners < 0  # what nobody's events can change is complete
            if refused:
                status[:, old], whole[:, old] = Status.TOO_OLD, False
                oldest[old] = np.maximum(oldest[old], floors[old] * source.tick)
            for name, at in plan.places:
                values[name] = LiveValue(found.values[at], status[at], whole[at])
        return Look(values, watermarks, oldest)


class _Plan:
    """An entity, and what is the same in each of its reads."""

    def __init__(self, entity: Entity) -> None:
        self.entity, self.name = entity, entity.name
        self.columns = included_columns(entity)
        """The columns that the kernel looks at."""
        self.places = [(feature.name, entity.answered.index(feature)) for feature in entity.features]
        """Each feature, as declared, and where it is among the answers."""


def _fits(value: object, typed: Typed) -> bool:
    """Whether a value is null, or of a declared type, none of which is a timestamp."""
    match value:
        case None:
            return True
        case bool():
            return typed.type == "bool"
        case int():
            return (typed.type == "int" and value in _INT64) or (typed.type == "float" and abs(value) <= 2**53)
        case float():
            return typed.type == "float"
        case str():
            return typed.type == "string" and (value.isascii() or value.encode(errors="ignore").decode() == value)
    return False
