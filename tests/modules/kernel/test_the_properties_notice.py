"""Tests can fail: each row breaks one rule of the kernel, and a property that holds without it must notice."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from modules.kernel import answer, cells, grid, registers, row, take, window
from modules.kernel.cells import Owned
from modules.kernel.window import Window
from tests import strategies
from tests.modules.kernel import paths, properties
from tests.modules.kernel.properties import batch_is_the_oracle, every_floor_is_the_oracle
from tests.modules.kernel.properties import every_schedule_is_the_oracle as every_schedule

BATCH = (batch_is_the_oracle, st.tuples(strategies.cases()))
MEANS = (batch_is_the_oracle, st.tuples(strategies.cases("mean", features=1)))
FLOORS = (every_floor_is_the_oracle, st.tuples(strategies.cases(features=2)))
STREAM = (every_schedule, st.tuples(strategies.cases(most=12, features=2), strategies.schedules()))

_edges, _closed_slots, _widths, _judge = Window.edges, window.closed_slots, grid.widths, take.judge
_distinguish, _whole = row._distinguish, take.whole_numbers


_until_found = settings(
    max_examples=4_000,  # it ends with the first; how many come before depends on what else is imported
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    report_multiple_bugs=False,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)


def _near_edge_closed(self: Window, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    start, stop = _edges(self, slots)
    return start, stop + 1


def _far_edge_open(self: Window, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    start, stop = _edges(self, slots)
    return start + 1, stop


def _far_edge_of_the_slot(self: Window, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, stop = _edges(self, slots)
    return (slots - self.delay - self.length) // self.step * self.step, stop


def _too_wide(windows: Any, starts: np.ndarray, floors: np.ndarray) -> np.ndarray:
    wide = _widths(windows, starts, floors)
    return np.where(wide > 0, np.maximum(wide, 600), 0)


def _expired_early(windows: Any, starts: np.ndarray, floors: np.ndarray) -> np.ndarray:
    return _widths(windows, starts, floors + 1)


def _one_microsecond(change: int) -> Callable[..., np.ndarray]:
    def judged(source: Any, columns: Any, ingest: Any) -> np.ndarray:
        return _judge(dataclasses.replace(source, lateness=source.lateness + change), columns, ingest)

    return judged


def _nothing_repeats(known: Owned, before: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(len(known) - before), np.empty(0, np.int64)


def _only_ids(known: Owned, before: int) -> tuple[np.ndarray, np.ndarray]:
    table = known.table.copy()
    table[3] = 0
    return _distinguish(Owned(table, known.owners), before)


def _truncated(taking: Any, columns: Any) -> tuple[np.ndarray, np.ndarray]:
    numbers, taken = _whole(taking, columns)
    if taking.value == "amount":
        filled = columns["amount"].fill_null(0).to_numpy(zero_copy_only=False)
        numbers = np.where(taken, np.trunc(np.where(taken, filled, 0) * taking.scale), 0).astype(np.int64)
    return numbers, taken


def _least_of_last(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((-values, times))
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks, order


def _as_floats(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rounded = sum(limb.astype(np.float64) * 2.0 ** (30 * place) for place, limb in enumerate(numbers))
    return rounded, np.ones(numbers.shape[1], bool)


@pytest.mark.parametrize(
    ("where", "broken", "noticed_by"),
    [
        pytest.param((Window, "edges"), _near_edge_closed, BATCH, id="an event sees its own tick"),
        pytest.param((Window, "edges"), _far_edge_open, BATCH, id="the first slot of the window is left out"),
        pytest.param((Window, "edges"), _far_edge_of_the_slot, BATCH, id="the window is counted from the request"),
        pytest.param((take, "judge"), _one_microsecond(1), BATCH, id="lateness is a microsecond too kind"),
        pytest.param((take, "judge"), _one_microsecond(-1), BATCH, id="lateness is a microsecond too strict"),
        pytest.param((take, "whole_numbers"), _truncated, BATCH, id="numbers are cut, not rounded"),
        pytest.param((row, "_distinguish"), _nothing_repeats, BATCH, id="each delivery counts, in batch"),
        pytest.param((row, "_distinguish"), _nothing_repeats, STREAM, id="each delivery counts, in a stream"),
        pytest.param((row, "_distinguish"), _only_ids, BATCH, id="one id is one event"),
        pytest.param((cells, "rank_last"), _least_of_last, BATCH, id="of equal times the least value is the last"),
        pytest.param((answer, "small"), _as_floats, MEANS, id="sums are rounded before they are divided"),
        pytest.param(
            (row, "closed_slots"), lambda *a: _closed_slots(*a) + 1, STREAM, id="slots are closed a tick too early"
        ),
        pytest.param((grid, "widths"), _too_wide, FLOORS, id="cells are coarsened across an edge"),
        pytest.param((grid, "widths"), _expired_early, FLOORS, id="cells are coarsened or expire a slot too early"),
    ],
)
def test_a_broken_rule_is_noticed(
    where: tuple[Any, str], broken: Any, noticed_by: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, name = where
    check, arguments = noticed_by
    original = getattr(home, name)
    for module in (home, answer, cells, registers, row, take, paths, properties):
        if getattr(module, name, None) is original:
            monkeypatch.setattr(module, name, broken)

    @_until_found
    @given(arguments)
    def holds(drawn: tuple[Any, ...]) -> None:
        check(*drawn)

    with pytest.raises((AssertionError, ValueError, IndexError)):
        holds()
