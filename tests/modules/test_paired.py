"""Paired differences, and the interval around their mean."""

import math

import numpy as np
import pytest

from modules.paired import Pair, compare
from modules.spec.evaluation import FEWEST_SEEDS, MOST_SEEDS


def pairs(*sides: tuple[float, float]) -> list[Pair]:
    return [Pair(seed, {"auc": with_it}, {"auc": without_it}) for seed, (with_it, without_it) in enumerate(sides)]


def test_by_hand() -> None:
    [found] = compare(pairs((0.9, 0.8), (0.8, 0.6), (0.7, 0.4)))  # differences of 0.1, 0.2 and 0.3
    assert (found.metric, found.seeds) == ("auc", 3)
    assert (found.with_it, found.without_it, found.difference) == pytest.approx((0.8, 0.6, 0.2))
    half = 4.302653 * 0.1 / math.sqrt(3)  # t with 2 degrees of freedom; their deviation is 0.1
    assert (found.low, found.high) == pytest.approx((0.2 - half, 0.2 + half))
    assert not found.differs


def test_pairing_takes_out_what_a_seed_does_to_both_sides() -> None:
    [found] = compare(pairs((0.11, 0.1), (0.512, 0.5), (0.911, 0.9)))
    assert found.differs


@pytest.mark.parametrize(
    ("sides", "differs"),
    [
        ([(0.5, 0.4), (0.5, 0.4)], True),  # the same difference twice
        ([(0.4, 0.5), (0.4, 0.5)], True),
        ([(0.5, 0.5), (0.5, 0.5)], False),  # it touches 0
        ([(0.5, 0.4), (0.4, 0.5)], False),
    ],
)
def test_differs_where_the_interval_excludes_zero(sides: list[tuple[float, float]], differs: bool) -> None:
    [found] = compare(pairs(*sides))
    assert found.differs is differs


def within(bound: float, freedom: int) -> float:
    """How much of Student's t lies within the bound: its density, summed up."""
    t = np.linspace(-bound, bound, 400_001)
    density = (1 + t * t / freedom) ** (-(freedom + 1) / 2)
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    return float(np.trapezoid(density, t)) * scale


@pytest.mark.parametrize("seeds", range(FEWEST_SEEDS, MOST_SEEDS + 1))
def test_the_interval_is_of_95_percent(seeds: int) -> None:
    # Differences of +1 and -1, and a 0 if their number is odd.
    differences = [1.0, -1.0] * (seeds // 2) + [0.0] * (seeds % 2)
    [found] = compare(pairs(*((each, 0.0) for each in differences)))
    error = math.sqrt(sum(each * each for each in differences) / (seeds - 1) / seeds)
    assert within(found.high / error, seeds - 1) == pytest.approx(0.95, abs=2e-6)
    assert found.low == pytest.approx(-found.high)


def test_metrics_are_compared_each_by_itself_and_keep_their_order() -> None:
    given = [Pair(seed, {"log_loss": 0.3, "auc": 0.9}, {"log_loss": 0.2, "auc": 0.8}) for seed in range(2)]
    assert [(each.metric, round(each.difference, 9)) for each in compare(given)] == [("log_loss", 0.1), ("auc", 0.1)]
