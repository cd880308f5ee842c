"""A read never gives a number for a window of which an edge lies inside a cell."""

import numpy as np
import pytest

from modules.kernel.answer import Requests, answer
from modules.kernel.cells import Owned
from modules.kernel.plan import Entity, Feature, Source, Taking
from modules.kernel.window import Window

EVENT = Taking(None, 1, ())
SOURCE = Source("rides", 1_000_000, "at", None, ("id",), 0, 0, 0, 0, (EVENT,))
ENTITY = Entity(SOURCE, ("k",), (Feature("n", "count", EVENT, None, Window(100, 0, 1, 1), 0, False),))
NO_MARKS = Owned(np.empty((3, 0), np.int64), np.empty(0, np.int64))
CELLS = Owned(np.array([[0, 60, 200], [60, 60, 1], [1, 2, 4]]), np.array([0, 0, 1]))


def ask(slot: int, owner: int = 0) -> int:
    found = answer(ENTITY, CELLS, NO_MARKS, Requests(np.array([owner]), np.array([slot]), {}))
    count: int = found.by_name()["n"].values.item()
    return count


@pytest.mark.parametrize(("slot", "count"), [(0, 0), (60, 1), (160, 2), (220, 0), (1000, 0)])
def test_edges_on_the_bounds_of_cells(slot: int, count: int) -> None:
    assert ask(slot) == count


@pytest.mark.parametrize("slot", [1, 59, 61, 119, 101, 159, 161, 219])
def test_an_edge_inside_a_cell(slot: int) -> None:
    with pytest.raises(ValueError, match=r"an edge at slot \d+ would cut a cell"):
        ask(slot)


def test_nobody_else_is_in_the_way() -> None:
    assert ask(161, owner=1) == 0
    assert ask(201, owner=1) == 4
    assert ask(30, owner=-1) == 0


@pytest.mark.parametrize(("owner", "count"), [(0, 1), (-1, 0), (1, 0)])
def test_the_only_owner_and_those_beside_it(owner: int, count: int) -> None:
    alone = CELLS.where(CELLS.owners == 0)
    slots = np.array([60 if owner == 0 else 30])  # an edge that would cut a cell is none of the others' business
    found = answer(ENTITY, alone, NO_MARKS, Requests(np.array([owner]), slots, {}))
    assert found.by_name()["n"].values.tolist() == [count]
