import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.spec.ladder import LADDER, at_or_above


def test_each_width_divides_the_next() -> None:
    """So one of any two divides the other, which the kernel relies on."""
    assert LADDER[0] == 1
    assert all(wide > narrow and wide % narrow == 0 for narrow, wide in itertools.pairwise(LADDER))


@pytest.mark.parametrize(
    ("ticks", "width"),
    [
        (0, 1),  # no delay
        (0.001, 1),
        (1, 1),
        (1.001, 10),
        (10, 10),
        (600.0, 600),
        (600.1, 3600),
        (86400, 86400),
        (86401, 86400),  # nothing is wider
    ],
)
def test_the_first_width_at_or_above(ticks: float, width: int) -> None:
    assert at_or_above(ticks) == width


@given(st.floats(0, 86400))
def test_no_narrower_width_would_do(ticks: float) -> None:
    width = at_or_above(ticks)
    assert width >= ticks
    assert all(narrower < ticks for narrower in LADDER if narrower < width)
