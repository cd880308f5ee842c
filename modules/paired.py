"""What a change does, when both sides were tried under the same seeds: how much, and how sure that is."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

_T = (
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139,
    2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024,
)  # fmt: skip
"""Student's t: 95 % of its distribution lies within; by degrees of freedom, from 1."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """The metrics of both sides under one seed, by name."""

    seed: int
    with_it: dict[str, float]
    without_it: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One metric over all seeds."""

    metric: str
    seeds: int
    with_it: float
    without_it: float
    """The means."""
    difference: float
    """Mean of (with - without)."""
    low: float
    high: float
    """Its 95 % interval, by Student's t."""

    @property
    def differs(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def compare(pairs: Sequence[Pair]) -> tuple[Comparison, ...]:
    """One comparison a metric, in the order of the pairs' metrics.

    Args:
      pairs: 2 to 20 of them.
    """
    found = []
    for metric in pairs[0].with_it:
        differences = [pair.with_it[metric] - pair.without_it[metric] for pair in pairs]
        mean = statistics.fmean(differences)
        half = _T[len(pairs) - 2] * statistics.stdev(differences) / math.sqrt(len(pairs))
        found.append(
            Comparison(
                metric=metric,
                seeds=len(pairs),
                with_it=statistics.fmean(pair.with_it[metric] for pair in pairs),
                without_it=statistics.fmean(pair.without_it[metric] for pair in pairs),
                difference=mean,
                low=mean - half,
                high=mean + half,
            )
        )
    return tuple(found)
