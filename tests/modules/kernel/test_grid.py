"""How wide cells may become."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.kernel import grid
from modules.kernel.answer import Requests, answer
from modules.kernel.cells import Owned
from modules.kernel.plan import Entity, Feature, Source, Taking
from modules.kernel.window import NEVER, Window
from tests import strategies

EVENT = Taking(None, 1, ())
SOURCE = Source("s", 1, "time", None, (), 0, 0, 0, 0, (EVENT,))


@pytest.mark.parametrize(
    ("window", "floor", "slot", "width"),
    [
        (Window(100, 0, 10, 1), 200, 95, 0),  # the least start is 100
        (Window(100, 0, 10, 1), 200, 100, 10),  # below every stop, and starts are multiples of 10
        (Window(100, 0, 10, 1), 209, 99, 0),  # 209 - 100 = 109, down to 100
        (Window(100, 0, 10, 1), 200, 199, 10),  # [190, 200) ends where the least stop is
        (Window(100, 0, 10, 1), 199, 190, 1),  # a stop at 199 would cut [190, 200)
        (Window(100, 0, 10, 1), 200, 200, 1),  # stops are still to come everywhere
        (Window(100, 0, 10, 10), 200, 1000, 10),  # no edge is ever inside
        (Window(100, 0, 1, 10), 200, 150, 1),  # starts cut it
        (Window(100, 50, 10, 1), 200, 149, 10),  # with the delay, stops are from 150 on
        (Window(100, 0, 10, 1), NEVER, 0, 1),  # before any floor nothing is coarsened
    ],
)
def test_the_width_of_a_cell(window: Window, floor: int, slot: int, width: int) -> None:
    assert grid.widths([window], np.array([slot]), np.array([floor])).tolist() == [width]


@given(
    st.lists(strategies.windows(), min_size=1, max_size=3), st.integers(-2_000, 2_000), st.integers(0, 5_000), st.data()
)
def test_no_edge_cuts_a_cell_and_nothing_needed_is_removed(
    windows: list[Window], floor: int, later: int, data: st.DataObject
) -> None:
    reach = max(w.length + w.delay + w.step + w.edge for w in windows)
    slot = floor - data.draw(st.one_of(st.integers(-100, 700), st.integers(0, min(reach + 10, 200_000))))
    [width] = grid.widths(windows, np.array([slot]), np.array([floor])).tolist()
    start = slot // max(width, 1) * max(width, 1)
    corners = [w.delay + at for w in windows for at in (start, start + width, slot + w.length)]
    near = data.draw(st.integers(-3, 3))
    for asked in {floor, floor + later, *(corner + near for corner in corners if corner + near >= floor)}:
        for window in windows:
            for edge in (int(edges[0]) for edges in window.edges(np.array([asked]))):
                assert not start < edge < start + width
            low, high = (int(edges[0]) for edges in window.edges(np.array([asked])))
            assert width or not low <= slot < high
    raised = grid.widths(windows, np.array([start]), np.array([floor + later]))[0]
    assert raised == 0 or raised >= width  # later floors only join further


@pytest.mark.parametrize(
    ("start", "width", "cut"),
    [
        (95, 10, True),  # [95, 105), and the window ends at 100
        (90, 10, False),  # ends where the window does
        (35, 10, True),  # and it starts at 40
        (40, 60, False),  # fills it
        (0, 200, True),
    ],
)
def test_a_cell_made_too_wide_is_an_error_and_never_a_number(start: int, width: int, cut: bool) -> None:
    entity = Entity(SOURCE, ("k",), (Feature("n", "count", EVENT, None, Window(60, 0, 1, 1), 0, False),))
    table = np.zeros((entity.height, 1), np.int64)
    table[:3, 0] = start, width, 1
    cells = Owned(table, np.zeros(1, np.int64))
    asked = Requests(np.zeros(1, np.int64), np.array([100]), {})
    if cut:
        with pytest.raises(ValueError, match="would cut a cell"):
            answer(entity, cells, cells, asked)
    else:
        assert answer(entity, cells, cells, asked).by_name()["n"].values.tolist() == [1]
