"""Counts of different values: HyperLogLog registers by cell (Flajolet, Fusy, Gandouet and Meunier, 2007).

A register is a column of an int64 table of shape (3, registers): the start and width of its cell, and `number << 32 |
index << 8 | rank`: which of `Entity.counted` it belongs to, its index below 2^10, and its rank. Of equal cell, number
and index only the greatest rank is kept, so order and repetition change nothing. Tables are sorted by owner, start and
the packed word.
"""

import math
from collections.abc import Collection

import numpy as np
import pyarrow.compute as pc

from modules.kernel.cells import Owned, first_of_each
from modules.kernel.hashing import hash_columns
from modules.kernel.plan import Entity, Taking
from modules.kernel.take import Columns, meets

INDEX_BITS = 10
REGISTERS = 1 << INDEX_BITS
HEIGHT = 3
_REST_BITS = 52
"""Bits of the hash that give the rank; a float64 holds them exactly."""
_NUMBER, _INDEX = 32, 8
_ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)
_RANKS = _REST_BITS + 2
_WEIGHTS = 1 << (_REST_BITS + 1 - np.arange(_RANKS, dtype=np.int64))
_LOW, _HIGH = _WEIGHTS & 0xFFFFFF, _WEIGHTS >> 24
"""By rank its 2^-rank, in units of 2^-53 and of 2^-29."""
_LINEAR = np.array([0.0, *(REGISTERS * math.log(REGISTERS / empty) for empty in range(1, REGISTERS + 1))])
"""The estimate where so many registers are empty (linear counting)."""


def hash_values(taking: Taking, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
    """The hashes of values, and which are taken in: not null, and of rows that meet the filter.

    Returns:
      uint64 and bool, shape (rows,) both.
    """
    assert taking.value is not None
    values = columns[taking.value]
    taken = meets(taking.filter, columns) & pc.is_valid(values).to_numpy(zero_copy_only=False)
    return hash_columns([values])[0].view(np.uint64), taken


def registers(
    entity: Entity, takings: Collection[Taking], columns: Columns, starts: np.ndarray, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """The registers that rows set for some of `Entity.counted`, and the row of each.

    Returns:
      int64, shapes (3, registers) and (registers,).
    """
    tables, rows = [np.empty((HEIGHT, 0), np.int64)], [np.empty(0, np.int64)]
    for number, taking in enumerate(entity.counted):
        if taking not in takings:
            continue
        hashes, taken = hash_values(taking, columns)
        at = np.flatnonzero(taken)
        hashes = hashes[at]
        index = (hashes >> np.uint64(64 - INDEX_BITS)).astype(np.int64)
        rest = (hashes & np.uint64((1 << _REST_BITS) - 1)).astype(np.float64)
        rank = _REST_BITS + 1 - np.frexp(rest)[1].astype(np.int64)
        packed = (number << _NUMBER) | (index << _INDEX) | rank
        tables.append(np.stack([starts[at], np.full(len(at), width), packed]))
        rows.append(at)
    return np.concatenate(tables, axis=1), np.concatenate(rows)


def join(parts: Owned) -> Owned:
    """Sorts registers and keeps the greatest rank of each."""
    table, owners = parts.table, parts.owners
    order = np.lexsort((table[2], table[0], owners))
    table, owners = table[:, order], owners[order]
    last = np.ones(len(owners), bool)
    last[:-1] = first_of_each(owners, table[0], table[2] >> _INDEX)[1:]
    return Owned(table[:, last], owners[last])


def estimate(ranks: np.ndarray) -> np.ndarray:
    """How many different values set the registers, rounded to a whole number; int64, shape (sets,).

    The sum of 2^-rank is a whole number of 2^-53, so it is exact in any order.

    Args:
      ranks: uint8, shape (sets, REGISTERS); 0 where a register is empty.
    """
    sets = np.arange(len(ranks))[:, None] * _RANKS
    counts = np.bincount((sets + ranks).ravel(), minlength=len(ranks) * _RANKS).reshape(-1, _RANKS)
    harmonic = ((counts @ _HIGH) * 2.0**24 + counts @ _LOW) / 2.0 ** (_REST_BITS + 1)  # rounded once, by the addition
    raw = _ALPHA * REGISTERS * REGISTERS / harmonic
    empty = counts[:, 0]
    linear = (raw <= 2.5 * REGISTERS) & (empty > 0)
    return np.rint(np.where(linear, _LINEAR[empty], raw)).astype(np.int64)


def ranks_of(packed: np.ndarray, sets: np.ndarray, count: int) -> np.ndarray:
    """Unites registers into sets; uint8, shape (count, REGISTERS).

    Args:
      packed: int64, shape (registers,): of one number.
      sets: int64, shape (registers,): the set that each goes to.
      count: How many sets there are.
    """
    ranks = np.zeros(count * REGISTERS, np.uint8)
    at = sets * REGISTERS + ((packed >> _INDEX) & (REGISTERS - 1))
    np.maximum.at(ranks, at, (packed & 0xFF).astype(np.uint8))
    return ranks.reshape(count, REGISTERS)


def number_of(packed: np.ndarray) -> np.ndarray:
    """Which of `Entity.counted` registers belong to; int64, shape (registers,)."""
    return packed >> _NUMBER
