"""Rows are decoded once for as long as their bytes are the same, and no more of them are kept than was said."""

import numpy as np

from modules.kernel.plan import Entity, Feature, Source, Taking
from modules.kernel.window import NEVER, Window
from pipeline.live.decoded import _OVERHEAD, DecodedRows, Stored

EVENT = Taking(None, 1, ())
SOURCE = Source("rides", 1_000_000, "at", None, ("id",), 0, 0, 0, 0, (EVENT,))
WINDOW = Window(100, 0, 1, 1)
RIDERS, AREAS = (Entity(SOURCE, (key,), (Feature("n", "count", EVENT, None, WINDOW, 0, False),)) for key in "ra")


def stored(slot: int) -> Stored:
    """A row of one event."""
    header = np.array([1, NEVER, NEVER, 0, slot], "<i8")
    return header.tobytes() + np.array([slot, 1, 1], "<i8").tobytes(), b""


def test_the_same_bytes_are_decoded_once() -> None:
    rows = DecodedRows()
    first = rows.of(RIDERS, [stored(1)])
    assert rows.of(RIDERS, [stored(1)]) is first
    assert first.cells.table.tolist() == [[1], [1], [1]]
    assert (first.floors.tolist(), first.known.tolist()) == ([NEVER, NEVER], [True, False])
    assert rows.of(RIDERS, [stored(2)]).cells.table.tolist() == [[2], [1], [1]]
    assert rows.of(AREAS, [stored(1)]) is not first


def test_a_row_that_is_not_there() -> None:
    rows = DecodedRows()
    assert [rows.of(RIDERS, each).known.tolist() for each in ([None], [])] == [[False, False], [False]]
    assert len(rows.of(RIDERS, [None]).cells) == 0


def test_several_are_as_they_are_alone() -> None:
    found = DecodedRows().of(RIDERS, [stored(1), None, stored(3)])
    assert (found.cells.table[0].tolist(), found.cells.owners.tolist()) == ([1, 3], [0, 2])
    assert found.known.tolist() == [True, False, True, False]


def test_what_was_not_asked_for_longest_goes() -> None:
    row_size = len(b"".join(stored(0) or ())) + _OVERHEAD
    rows = DecodedRows(most_bytes=2 * row_size)
    first, second = (rows.of(RIDERS, [stored(slot)]) for slot in (1, 2))
    assert rows.of(RIDERS, [stored(1)]) is first
    rows.of(RIDERS, [stored(3)])
    assert rows.of(RIDERS, [stored(1)]) is first
    assert rows.of(RIDERS, [stored(2)]) is not second
