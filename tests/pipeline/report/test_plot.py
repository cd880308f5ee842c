import pytest

from pipeline.report.axis import Axis, axis, round_values
from pipeline.report.plot import Frame, rounded

FRAME = Frame(
    axis(0, 10), axis(0, 1), width=120, height=70, left_margin=10, right_margin=10, top_margin=10, bottom_margin=10
)
"""Ten units of the page across are one of the axis, fifty down are the whole of it."""


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.25, 0.5, 0.75, 1]),
        (0, 23, [0, 10, 20]),
        (-87.9, -87.6, [-87.9, -87.8, -87.7, -87.6]),
        (100, 800, [200, 400, 600, 800]),
    ],
)
def test_round_values(low: float, high: float, expected: list[float]) -> None:
    assert list(round_values(low, high)) == pytest.approx(expected)


def test_ticks_have_the_digits_that_they_need() -> None:
    assert [tick.text for tick in axis(0, 1).ticks] == ["0.00", "0.25", "0.50", "0.75", "1.00"]
    assert [tick.text for tick in axis(-2, 2).ticks] == ["\u22122", "\u22121", "0", "1", "2"]
    assert [tick.text for tick in axis(0, 2, whole=True).ticks] == ["0", "1", "2"]


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e12])
def test_an_axis_round_a_single_value_holds_it_in_the_middle(value: float) -> None:
    found = axis(value, value)
    assert found.low < value < found.high
    assert found.share(value) == pytest.approx(0.5)


def test_a_frame_turns_y_round_and_holds_what_is_beyond() -> None:
    assert FRAME.at(0, 0) == (10, 60)
    assert FRAME.at(10, 1) == (110, 10)
    assert FRAME.at(99, -1) == (110, 60)
    assert FRAME.line([0, 5], [0, 0.5]) == "M10.0 60.0L60.0 35.0"


def test_steps_are_level_between_edges() -> None:
    outline = "M10.0 60.0L10.0 35.0L60.0 35.0L60.0 10.0L110.0 10.0L110.0 60.0"
    assert FRAME.steps([0, 5, 10], [0.5, 1], closed=False) == outline
    assert FRAME.steps([0, 5, 10], [0.5, 1], closed=True) == outline + "Z"
    assert FRAME.stairs([0, 5, 10], [0.5, 1]) == "M10.0 35.0L60.0 35.0L60.0 10.0L110.0 10.0"


def test_marks_lie_where_the_ticks_are() -> None:
    plot = FRAME.plot("p", "")
    assert [(mark.at, mark.text) for mark in plot.y_marks][-1] == (10, "1.00")
    assert [mark.at for mark in plot.x_marks] == [10, 35, 60, 85, 110]


def test_corners_are_cut_round_but_never_past_the_middle_of_a_leg() -> None:
    assert rounded([(0, 0), (20, 0), (20, 6)], 5) == "M0.0 0.0L15.0 0.0Q20.0 0.0 20.0 3.0L20.0 6.0"
    assert rounded([(0, 0), (9, 0)], 5) == "M0.0 0.0L9.0 0.0"


def test_share_of_an_axis() -> None:
    assert Axis(10, 20, ()).share(12.5) == 0.25
