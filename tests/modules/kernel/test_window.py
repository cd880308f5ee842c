"""Windows, closing and completeness at their edges."""

import numpy as np
import pytest

from modules.kernel.window import Window, closed_slots, complete, slots_of


@pytest.mark.parametrize(
    ("window", "slot", "start", "stop"),
    [
        (Window(60, 0, 1, 1), 100, 40, 100),  # exact: closed at the start, open at the end
        (Window(1, 0, 1, 1), 0, -1, 0),  # the tick before the request's own
        (Window(60, 0, 10, 1), 105, 40, 105),  # 105 - 60 = 45, down to 40
        (Window(60, 0, 10, 1), 100, 40, 100),  # already a multiple: not 30
        (Window(60, 7, 1, 10), 106, 30, 90),  # 106 - 7 = 99, down to 90
        (Window(60, 7, 1, 10), 107, 40, 100),  # one tick later the edge moves
        (Window(25, 0, 10, 10), -1, -40, -10),  # before 1970 down is still down
        (Window(1, 0, 10, 60), 59, -10, 0),  # the far edge is counted from the near one, not from the request
    ],
)
def test_which_slots_a_request_sees(window: Window, slot: int, start: int, stop: int) -> None:
    low, high = window.edges(np.array([slot]))
    assert (low.tolist(), high.tolist()) == ([start], [stop])


@pytest.mark.parametrize(
    ("time", "tick", "slot"),
    [
        (999_999, 1_000_000, 0),  # the last microsecond of a slot
        (1_000_000, 1_000_000, 1),  # the first of the next
        (-1, 1_000_000, -1),  # not 0: there is no slot of twice the length around 1970
    ],
)
def test_the_slot_of_a_time(time: int, tick: int, slot: int) -> None:
    assert slots_of(np.array([time]), tick).tolist() == [slot]


@pytest.mark.parametrize(
    ("watermark", "closed"),
    [
        (14, 0),  # slot 0 holds times up to 9; with lateness 5 one of them may be ingested at 14
        (15, 1),  # all ingested before 15 is there, so all of slot 0
        (24, 1),
        (25, 2),
    ],
)
def test_slots_close_when_nothing_of_them_can_come(watermark: int, closed: int) -> None:
    assert closed_slots(watermark, lateness=5, tick=10) == closed
    assert complete(np.array([closed, closed + 1]), watermark, 5, 10).tolist() == [True, False]


@pytest.mark.parametrize("numbers", [(0, 0, 1, 1), (1, -1, 1, 1), (1, 0, 0, 1), (1, 0, 1, 0), (1, 0, 10, 15)])
def test_what_is_no_window(numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="step"):
        Window(*numbers)
