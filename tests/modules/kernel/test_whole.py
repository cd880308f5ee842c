"""Limbs against Python's own whole numbers."""

from fractions import Fraction

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from modules.kernel.whole import carry, divide, limbs, small, square_limbs, to_int

VALUES = st.integers(1 - 2**53, 2**53 - 1)
MOST = 2**53 - 1


@given(st.lists(VALUES, min_size=1, max_size=20), st.integers(1, 2**20))
@example([MOST] * 2, 2**30)  # as many as may be added
@example([-MOST] * 2, 2**30)
@example([2**30, -1, 2**30 - 1], 1)
def test_sums_are_exact(values: list[int], times: int) -> None:
    for split, power in ((limbs, 1), (square_limbs, 2)):
        numbers = split(np.array(values)).sum(axis=1, keepdims=True) * times  # as if each came so many times
        carry(numbers)
        exact = sum(value**power for value in values) * times
        assert to_int(numbers[:, 0]) == exact
        assert ((numbers[:-1] >= 0) & (numbers[:-1] < 2**30)).all()  # equal numbers have equal limbs
        whole, fits = small(numbers)
        assert fits.tolist() == [-(2**53) <= exact < 2**53]
        assert whole.tolist() == [exact if fits[0] else 0]


@given(st.lists(st.tuples(st.integers(-(2**115), 2**115), st.integers(1, 2**93)), min_size=1, max_size=5))
@example([(0, 7), (-1, 3), (2**53 + 1, 1), (2**54 + 3, 3), (2**106 + 1, 2**53)])
@example([(2**53 - 1, 2**53 - 1), (1 - 2**53, 3), (-(2**90), 2**90 + 1)])
def test_quotients_are_rounded_once(pairs: list[tuple[int, int]]) -> None:
    fits = np.array([abs(a) < 2**53 and b < 2**53 for a, b in pairs])
    dividend = np.array([a if fine else 0 for (a, _), fine in zip(pairs, fits, strict=True)])
    divisor = np.array([b if fine else 1 for (_, b), fine in zip(pairs, fits, strict=True)])
    quotients = divide(dividend, divisor, fits, lambda at: pairs[at])
    assert [value.hex() for value in quotients.tolist()] == [float(Fraction(a, b)).hex() for a, b in pairs]
