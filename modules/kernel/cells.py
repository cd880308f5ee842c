"""Tables of cells: what the events of one entity in one range of slots add up to.

A table is int64 of shape (height, cells): the start of each cell's range, its width, and then the accumulators as
`Entity.layout` places them. Beside it stands the owner of each cell, an index into some list of keys; tables are sorted
by owner, then start. Empty accumulators are 0, for `min` the greatest, and for `max` and `last` the least int64.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

from modules.kernel.plan import Entity, Taking
from modules.kernel.take import Columns, whole_numbers
from modules.kernel.whole import carry, limbs, square_limbs

MOST = np.iinfo(np.int64).max
LEAST = np.iinfo(np.int64).min
START, WIDTH = 0, 1


@dataclasses.dataclass(frozen=True)
class Owned:
    """A table and the owner of each of its columns."""

    table: np.ndarray
    """int64, shape (height, cells)."""
    owners: np.ndarray
    """int64, shape (cells,)."""

    def __len__(self) -> int:
        return len(self.owners)

    def where(self, mask: np.ndarray) -> "Owned":
        """The cells of a mask or of indexes."""
        return Owned(self.table[:, mask], self.owners[mask])

    def bounds(self, owners: int) -> np.ndarray:
        """Where each owner's cells start; int64, shape (owners + 1,)."""
        return np.searchsorted(self.owners, np.arange(owners + 1))


def concatenate(*parts: Owned) -> Owned:
    """Several tables one after the other, not sorted."""
    return Owned(np.concatenate([p.table for p in parts], axis=1), np.concatenate([p.owners for p in parts]))


def accumulate(
    entity: Entity, takings: Iterable[Taking], columns: Columns, times: np.ndarray, slots: np.ndarray
) -> np.ndarray:
    """A cell of one slot for each row of columns; int64, shape (height, rows).

    Args:
      entity: Whose cells.
      takings: The values to fill in; the accumulators of others are left as they are, and are not to be read.
      columns: What the values are taken from.
      times: int64, shape (rows,): microseconds.
      slots: int64, shape (rows,).
    """
    table = np.zeros((entity.height, len(slots)), np.int64)
    table[START], table[WIDTH] = slots, 1
    for taking in takings:
        numbers, taken = whole_numbers(taking, columns)
        for part, at in entity.layout[taking].items():
            if part == "count":
                table[at] = taken
            elif part == "sum":
                table[at : at + 2] = limbs(numbers)
            elif part == "squares":
                table[at : at + 4] = square_limbs(numbers)
            elif part == "min":
                table[at] = np.where(taken, numbers, MOST)
            elif part == "max":
                table[at] = np.where(taken, numbers, LEAST)
            else:
                table[at] = np.where(taken, times, LEAST)
                table[at + 1] = np.where(taken, numbers, LEAST)
    return table


def add_up(entity: Entity, cells: Owned) -> Owned:
    """Sorts cells and joins those of the same owner and start."""
    order = sort_order(cells.owners, cells.table[START])
    table, owners = cells.table[:, order], cells.owners[order]
    first = first_of_each(owners, table[START])
    if first.all():
        for numbers in _sums(entity, table):
            carry(numbers)
        return Owned(table, owners)
    at = np.flatnonzero(first)
    joined = combine(entity, table, at)
    joined[:2] = table[:2, at]
    return Owned(joined, owners[at])


def combine(entity: Entity, table: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Joins the accumulators of runs of cells, of which each starts at one of the ascending indexes `at`."""
    joined = np.empty((entity.height, len(at)), np.int64)
    for parts in entity.layout.values():
        for part, row in parts.items():
            if part == "min":
                joined[row] = np.minimum.reduceat(table[row], at)
            elif part == "max":
                joined[row] = np.maximum.reduceat(table[row], at)
            elif part == "last":
                ranks, order = rank_last(table[row], table[row + 1])
                latest = order[np.maximum.reduceat(ranks, at)]
                joined[row], joined[row + 1] = table[row, latest], table[row + 1, latest]
            else:
                stop = row + {"count": 1, "sum": 2, "squares": 4}[part]
                joined[row:stop] = np.add.reduceat(table[row:stop], at, axis=1)
    for numbers in _sums(entity, joined):
        carry(numbers)
    return joined


def rank_last(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rank of each (time, value) among all, and the index of each rank; int64, shape (cells,) both."""
    order = np.lexsort((values, times))
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks, order


def sort_order(owners: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """An order by owner, then start; int64, shape (cells,)."""
    if len(owners) == 0:
        return np.empty(0, np.int64)
    least = int(starts.min())
    span = int(starts.max()) - least + 1
    if (int(owners.max()) + 1) * span < MOST:
        return np.argsort(owners * span + (starts - least))
    return np.lexsort((starts, owners))


def first_of_each(*sorted_by: np.ndarray) -> np.ndarray:
    """Which rows of sorted columns differ from the row before; bool, shape (rows,)."""
    first = np.zeros(len(sorted_by[0]), bool)
    first[:1] = True
    for column in sorted_by:
        first[1:] |= column[1:] != column[:-1]
    return first


def _sums(entity: Entity, table: np.ndarray) -> list[np.ndarray]:
    return [
        table[row : row + size]
        for parts in entity.layout.values()
        for part, size in (("sum", 2), ("squares", 4))
        if (row := parts.get(part)) is not None  # type: ignore[call-overload]
    ]
