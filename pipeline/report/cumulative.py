"""The cumulative distribution behind TFDV's histograms, so that splits with other buckets can share their bins."""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
from tensorflow_metadata.proto.v0 import statistics_pb2


@dataclasses.dataclass(frozen=True, eq=False)
class Cumulative:
    """Which share of the values is at or below each of some places; between two places it is spread evenly."""

    values: npt.NDArray[np.float64]
    """Ascending; twice the same where many rows have the same value."""
    shares: npt.NDArray[np.float64]
    """Of the values at or below; ascending from 0 to 1, same length."""

    @property
    def low(self) -> float:
        return float(self.values[0])

    @property
    def high(self) -> float:
        return float(self.values[-1])

    def at_or_below(self, value: float) -> float:
        """The share of the values that are `value` or less."""
        after = int(np.searchsorted(self.values, value, side="right"))
        if after == 0:
            return 0.0
        if after == len(self.values) or self.values[after - 1] == value:
            return float(self.shares[after - 1])
        low, high = self.values[after - 1], self.values[after]
        below, above = self.shares[after - 1], self.shares[after]
        return float(below + (above - below) * (value - low) / (high - low))

    def quantile(self, share: float) -> float:
        """The least value that has this share of the values at or below it."""
        return float(np.interp(share, *self._strict()))

    def _strict(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        shares, first = np.unique(self.shares, return_index=True)
        return shares, self.values[first]


def cumulative(statistics: statistics_pb2.NumericStatistics, whole: bool) -> Cumulative | None:
    """Joins a feature's histograms; TFDV's buckets include their upper end.

    Args:
      statistics: Of one feature in one split.
      whole: Whether the values are whole numbers. The number n then stands for the range from n - 1/2 to n + 1/2, so
        that a bucket's share lies where its whole numbers do.

    Returns:
      None if the split has no finite value of the feature.
    """
    places: list[tuple[float, float]] = []
    for histogram in statistics.histograms:
        buckets = [bucket for bucket in histogram.buckets if math.isfinite(bucket.low_value + bucket.high_value)]
        total = sum(bucket.sample_count for bucket in buckets)
        if not total:
            continue
        low, below = buckets[0].low_value, 0.0
        places.append((low - 0.5 if whole else low, 0.0))
        for bucket in buckets:
            below += bucket.sample_count
            high = math.floor(bucket.high_value + 1e-9) + 0.5 if whole else bucket.high_value
            places.append((high, below / total))
    if not places:
        return None
    values, shares = np.array(sorted(places), np.float64).T
    shares = np.maximum.accumulate(np.minimum(shares, 1.0))
    shares[-1] = 1.0
    return Cumulative(values, shares)
