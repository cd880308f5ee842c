"""Compares arrays by their bits, and counts."""

from collections.abc import Mapping

import numpy as np

from modules.kernel.bits import bits
from pipeline.parity.check import FIRST, Check, Difference
from pipeline.parity.sample import Sample


def counts(by_feature: Mapping[str, int]) -> str:
    """Features with their counts, in words."""
    return ", ".join(f"{feature} ({count:,})" for feature, count in by_feature.items())


class Tally:
    """What is compared in one check, value by value of the sample's rows."""

    def __init__(self, name: str, sample: Sample) -> None:
        self._name, self._sample = name, sample
        self._compared = 0
        self._differing: dict[str, int] = {}
        self._missing = self._left_out = 0
        self._differences: list[Difference] = []

    def compare(self, feature: str, rows: np.ndarray, expected: np.ndarray, found: np.ndarray) -> None:
        """Compares the values of one feature; another dtype or shape is another value in each row.

        Args:
          feature: Its name.
          rows: int64, shape (n,): which rows of the sample.
          expected: Shape (n,) or (n, width).
          found: Shape (n,) or (n, width).
        """
        self._compared += len(rows)
        if expected.dtype != found.dtype or expected.shape != found.shape:
            self._differ(feature, len(rows))
            self._keep(feature, int(rows[0]), (_form(expected), ""), (_form(found), ""))
            return
        flat = [np.ascontiguousarray(array).reshape(len(rows), -1) for array in (expected, found)]
        unequal = flat[0].view(np.uint8) != flat[1].view(np.uint8)
        at = np.flatnonzero(unequal.any(axis=1))
        if not len(at):
            return
        self._differ(feature, len(at))
        for row in at[: FIRST - len(self._differences)].tolist():
            column = int(np.argmax(unequal[row])) // expected.itemsize
            one, other = (array[row, column] for array in flat)
            self._keep(feature, int(rows[row]), (repr(one.item()), bits(one)), (repr(other.item()), bits(other)))

    def miss(self, rows: int) -> None:
        """Notes rows of the sample that one of the sides does not have."""
        self._missing += rows

    def leave_out(self, values: int) -> None:
        """Notes values that are not compared, because that would take too long."""
        self._left_out += values

    def check(self) -> Check:
        """What was found."""
        differing = sum(self._differing.values())
        words = f"{self._compared:,} values of {len(self._sample.ids):,} rows compared, "
        words += f"{differing:,} differ: {counts(self._differing)}" if differing else "none differs"
        if self._missing:
            words += f"; {self._missing:,} rows are missing"
        if self._left_out:
            words += f"; {self._left_out:,} values were left out, for the sake of time"
        passed = not differing and not self._missing and self._compared > 0
        return Check(self._name, passed, self._compared, differing, words + ".", tuple(self._differences))

    def _differ(self, feature: str, values: int) -> None:
        self._differing[feature] = self._differing.get(feature, 0) + values

    def _keep(self, feature: str, row: int, expected: tuple[str, str], found: tuple[str, str]) -> None:
        """Keeps a difference of values that are given with their bits."""
        if len(self._differences) < FIRST:
            key = {"row_id": self._sample.ids[row].as_py().decode()}
            (one, one_bits), (other, other_bits) = expected, found
            self._differences.append(Difference(feature, key, self._sample.time(row), one, other, one_bits, other_bits))


def _form(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"
