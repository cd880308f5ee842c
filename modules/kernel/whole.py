"""Whole numbers beyond 64 bits, as columns of limbs of 30 bits, so that sums of them are exact in any order.

A sum of values below 2^53 has two limbs, `high * 2^30 + low`; a sum of their squares four. All limbs but the highest
are in [0, 2^30) once `carry` was called, so that equal numbers have equal limbs. 2^31 numbers can be added before.
"""

import math
from collections.abc import Callable

import numpy as np

LIMB = 30
_MASK = (1 << LIMB) - 1
EXACT = 2**53
"""Whole numbers up to here are float64 exactly."""


def limbs(values: np.ndarray) -> np.ndarray:
    """Whole numbers of a size below 2^53 as limbs, the lowest first; int64, shape (2, values)."""
    return np.stack([values & _MASK, values >> LIMB])


def square_limbs(values: np.ndarray) -> np.ndarray:
    """Their squares as limbs, the lowest first; int64, shape (4, values); not carried."""
    size = np.abs(values)
    low, high = size & _MASK, size >> LIMB
    squared, cross, top = low * low, 2 * low * high, high * high
    return np.stack(
        [squared & _MASK, (squared >> LIMB) + (cross & _MASK), (cross >> LIMB) + (top & _MASK), top >> LIMB]
    )


def carry(numbers: np.ndarray) -> None:
    """Brings limbs, shape (limbs, numbers), into their ranges, in place."""
    for limb in range(len(numbers) - 1):
        numbers[limb + 1] += numbers[limb] >> LIMB
        numbers[limb] &= _MASK


def to_int(number: np.ndarray) -> int:
    """One number, shape (limbs,), in full."""
    return sum(int(limb) << (LIMB * place) for place, limb in enumerate(number))


def small(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers, shape (limbs, numbers), carried, as int64, and which are below 2^53 in size; the others are 0."""
    fits = (numbers[1] >= -(1 << 23)) & (numbers[1] < 1 << 23)
    for limb in numbers[2:]:
        fits &= limb == 0
    return joined(numbers) * fits, fits


def joined(numbers: np.ndarray) -> np.ndarray:
    """Numbers, shape (limbs, numbers), of a size below 2^62, as int64."""
    return (numbers[1] << LIMB) + numbers[0]


def bound(numbers: np.ndarray) -> float:
    """At least what the sizes of numbers, shape (limbs, numbers), carried, add up to."""
    total = numbers.shape[1] + 0.0
    for place, limb in enumerate(numbers[1:]):
        total += float(np.add.reduce(np.abs(limb), 0, np.float64)) * 2.0 ** (LIMB * place)
    return total * 2.0**LIMB


def divide(
    dividend: np.ndarray, divisor: np.ndarray, fits: np.ndarray, exact: Callable[[int], tuple[int, int]]
) -> np.ndarray:
    """Quotients of whole numbers, correctly rounded; float64, shape (n,).

    Args:
      dividend: int64, shape (n,); exact where `fits`.
      divisor: Likewise; nowhere 0.
      fits: bool, shape (n,): where both are below 2^53 in size, so that float64 divides them with one rounding.
      exact: Dividend and divisor at an index in full, for the others.
    """
    quotients: np.ndarray = dividend / divisor
    for index in () if fits.all() else np.flatnonzero(~fits).tolist():
        large, by = exact(index)
        try:
            quotients[index] = large / by
        except OverflowError:
            quotients[index] = math.inf if (large > 0) == (by > 0) else -math.inf
    quotients += 0.0  # no -0.0
    return quotients
