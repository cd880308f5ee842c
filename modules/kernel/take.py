"""What is taken in of events: which count at all, and of those the whole numbers that are aggregated."""

import dataclasses
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modules.kernel.hashing import hash_columns
from modules.kernel.plan import Condition, Source, Taking
from modules.kernel.whole import EXACT
from modules.kernel.window import slots_of

Columns = dict[str, pa.Array]
"""Columns of events or requests by name: int64, float64, string or bool; times are int64, in microseconds."""

COUNTS, LATE, FUTURE, VALUE = range(4)
"""Verdicts: the event counts, was ingested too late, comes from the future, or has a number that cannot be taken in."""


@dataclasses.dataclass(frozen=True)
class Events:
    """Events of one source of which each counts; all arrays have the shape (events,) unless said otherwise."""

    columns: Columns
    times: np.ndarray
    """int64, microseconds."""
    slots: np.ndarray
    """int64."""
    ids: np.ndarray
    """int64, shape (2, events): 128 bits of event time and id."""

    def __len__(self) -> int:
        return len(self.times)

    def where(self, at: np.ndarray) -> "Events":
        """The events of indexes."""
        columns = {name: column.take(pa.array(at)) for name, column in self.columns.items()}
        return Events(columns, self.times[at], self.slots[at], self.ids[:, at])


def judge(source: Source, columns: Columns, ingest: np.ndarray | None) -> np.ndarray:
    """The verdict on each event; int8, shape (events,).

    Args:
      source: Where they are from.
      columns: Their columns, none of the times null.
      ingest: int64, shape (events,): when each was taken in, in microseconds. None: as `source.ingest_time` says, and
        where it says nothing an event is neither late nor from the future.
    """
    times = columns[source.time].to_numpy(zero_copy_only=False)
    if ingest is None:
        ingest = ingest_times(source, columns)
    verdicts = np.full(len(times), COUNTS, np.int8)
    for value, scale in {(taking.value, taking.scale) for taking in source.takings if taking.value}:
        if columns[value].type in (pa.int64(), pa.float64()):
            verdicts[_unusable(columns[value], scale)] = VALUE
    verdicts[times - ingest > source.ahead] = FUTURE
    verdicts[ingest - times > source.lateness] = LATE
    return verdicts


def ingest_times(source: Source, columns: Columns) -> np.ndarray:
    """When recorded events were taken in, by all that is known the moment they happened; int64, microseconds."""
    times = columns[source.time]
    if source.ingest_time is not None:
        times = pc.coalesce(columns[source.ingest_time], times)
    return times.to_numpy(zero_copy_only=False)


def take(source: Source, columns: Columns) -> Events:
    """Events that all count, with their slots and identities."""
    times = columns[source.time].to_numpy(zero_copy_only=False)
    ids = hash_columns([columns[name] for name in (source.time, *source.id)])
    return Events(columns, times, slots_of(times, source.tick), ids)


def whole_numbers(taking: Taking, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
    """`rint(value * scale)`, half to even, and which rows are taken in: those that meet the filter and have a value.

    Returns:
      int64 and bool, shape (rows,) both; the number is 0 where nothing is taken in, 1 where the event itself is.

    Raises:
      ValueError: A number that is taken in is not finite, or 2^53 or more.
    """
    taken = meets(taking.filter, columns)
    if taking.value is None:
        return taken.astype(np.int64), taken
    values = columns[taking.value]
    taken &= pc.is_valid(values).to_numpy(zero_copy_only=False)
    if (_unusable(values, taking.scale) & taken).any():
        raise ValueError(f"column {taking.value} holds a number that is not finite, or 2^53 or more in its units")
    filled = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
    numbers = filled if filled.dtype == np.int64 else np.rint(filled * taking.scale)
    if filled.dtype == np.int64 and taking.scale != 1:
        numbers = np.where(taken, filled, 0) * taking.scale
    return np.where(taken, numbers, 0).astype(np.int64), taken


def meets(conditions: Iterable[Condition], columns: Columns) -> np.ndarray:
    """Which rows meet all conditions; bool, shape (rows,)."""
    result = np.ones(len(next(iter(columns.values()))), bool)
    for condition in conditions:
        values = columns[condition.column]
        if condition.one_of is not None:
            met = pc.is_in(values, value_set=pa.array(condition.one_of, values.type))
        else:
            met = pc.is_valid(values)
            values = pc.cast(values, pa.float64(), safe=False)
            for bound, compare in (
                (condition.at_least, pc.greater_equal),
                (condition.above, pc.greater),
                (condition.at_most, pc.less_equal),
                (condition.below, pc.less),
            ):
                if bound is not None:
                    met = pc.and_(met, pc.fill_null(compare(values, pa.scalar(bound, pa.float64())), False))
        result &= met.to_numpy(zero_copy_only=False)
    return result


def _unusable(values: pa.Array, scale: int) -> np.ndarray:
    """Where a number is not finite, or 2^53 or more in its units; bool, shape (rows,)."""
    filled = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
    if filled.dtype == np.int64:
        limit = (EXACT - 1) // scale
        return (filled > limit) | (filled < -limit)
    with np.errstate(over="ignore", invalid="ignore"):
        return ~(np.abs(np.rint(filled * float(scale))) < EXACT)
