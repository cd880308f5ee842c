"""Counts of different values: whatever the order, and as near as the paper says."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.kernel import registers
from modules.kernel.cells import Owned
from modules.kernel.plan import Entity, Feature, Source, Taking
from modules.kernel.window import Window
from tests.modules.kernel import oracle

WHO = Taking("who", 1, ())
SOURCE = Source("s", 1, "time", None, (), 0, 0, 0, 0, ())
ENTITY = Entity(SOURCE, ("k",), (Feature("n", "approx_distinct", WHO, None, Window(60, 0, 1, 1), 0, False),))


CROWDED = [value for value in range(4_000) if oracle.hash_64(value) >> 54 < 8]
"""Some 30 values for 8 registers."""


def _set(values: list[int], starts: list[int]) -> Owned:
    columns = {"who": pa.array(values, pa.int64())}
    table, rows = registers.registers(ENTITY, [WHO], columns, np.array(starts, np.int64), 1)
    return Owned(table, np.zeros(len(rows), np.int64))


def _count(values: np.ndarray) -> int:
    marks = registers.join(_set(values.tolist(), [0] * len(values)))
    ranks = registers.ranks_of(marks.table[2], np.zeros(len(marks), np.int64), 1)
    return int(registers.estimate(ranks)[0])


@given(st.lists(st.tuples(st.sampled_from(CROWDED), st.integers(0, 3)), max_size=30), st.randoms(), st.integers(0, 30))
def test_order_repetition_and_parts_change_nothing(events: list[tuple[int, int]], rng: object, cut: int) -> None:
    def joined(some: list[tuple[int, int]]) -> Owned:
        return registers.join(_set([value for value, _ in some], [start for _, start in some]))

    whole = joined(events)
    mixed = events + events[:cut]
    rng.shuffle(mixed)  # type: ignore[attr-defined]
    one, other = joined(mixed[:cut]), joined(mixed[cut:])
    both = registers.join(
        Owned(np.concatenate([other.table, one.table], axis=1), np.concatenate([other.owners, one.owners]))
    )
    assert both.table.tolist() == whole.table.tolist()


@pytest.mark.parametrize("size", [0, 1, 2, 10, 100, 1_000, 2_500, 3_000, 10_000, 100_000])
def test_the_error_is_what_the_paper_expects(size: int) -> None:
    values = np.arange(size) * 7919
    assert abs(_count(values) - size) <= max(0.5, 3.5 * 1.04 / math.sqrt(registers.REGISTERS) * size)


@given(st.dictionaries(st.integers(0, 1023), st.integers(1, 53), max_size=1024))
def test_the_estimate_is_the_oracles(ranks: dict[int, int]) -> None:
    table = np.zeros((1, registers.REGISTERS), np.uint8)
    table[0, list(ranks)] = list(ranks.values())
    assert registers.estimate(table).tolist() == [oracle.estimate(ranks)]


@pytest.mark.parametrize("rank", [1, 2, 3, 5, 53])
def test_the_estimate_without_empty_registers(rank: int) -> None:
    full = dict.fromkeys(range(1024), rank) | {7: 1}
    table = np.array([[full[at] for at in range(1024)]], np.uint8)
    assert registers.estimate(table).tolist() == [oracle.estimate(full)]
