"""The one rounding, against fractions."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.kernel.rounding import to_example

GREATEST = (2 - 2**-23) * 2.0**127


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (1 + 2.0**-24, 1.0),  # half way between two float32: to the even one
        (1 + 3 * 2.0**-24, 1 + 2.0**-22),  # and here the even one is above
        (1 + 2.0**-24 + 2.0**-50, 1 + 2.0**-23),  # above half
        (GREATEST + 2.0**102, GREATEST),  # below half way to infinity
        (1e39, GREATEST),  # beyond: the greatest, never infinity
        (-1e300, -GREATEST),
        (2.0**-149, 2.0**-149),  # the least above 0
        (2.0**-150, 0.0),
    ],
)
def test_float64_becomes_the_nearest_float32(value: float, rounded: float) -> None:
    found = to_example(np.array([value]))
    assert found.dtype == np.float32
    assert found.tolist() == [rounded]


@given(st.floats(-GREATEST, GREATEST))
def test_it_is_the_rounding_of_c(value: float) -> None:
    assert to_example(np.array([value])).tobytes() == struct.pack("<f", value)


def test_whole_numbers_stay() -> None:
    values = np.array([2**63 - 1, -(2**53) - 1])
    assert to_example(values).tolist() == values.tolist()
