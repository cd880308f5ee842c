"""Axes: a range of values, and the round numbers on it."""

import dataclasses
import itertools
import math


@dataclasses.dataclass(frozen=True)
class Tick:
    """A marked place on an axis."""

    at: float
    """The value."""
    text: str


@dataclasses.dataclass(frozen=True)
class Axis:
    """A closed range of values, never empty, with its ticks in ascending order."""

    low: float
    high: float
    ticks: tuple[Tick, ...]
    name: str = ""

    def share(self, value: float) -> float:
        """Where the value lies, 0 at the low end and 1 at the high one; values beyond are held at the ends."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def spread(low: float, high: float) -> tuple[float, float]:
    """The range itself; around a single value, a range that holds it in its middle."""
    if high > low:
        return low, high
    half = max(abs(low) * 0.1, 1e-6) if low else 0.5
    return low - half, low + half


def round_values(low: float, high: float, most: int = 5) -> tuple[float, ...]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten in [low, high], at most `most` of them."""
    step = (high - low) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(step))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(index * step for index in range(first, last + 1))


def axis(low: float, high: float, name: str = "", most: int = 5, whole: bool = False) -> Axis:
    """An axis from `low` to `high` with round ticks.

    Args:
      low: Its low end.
      high: Its high end; if it is not above `low`, the axis is widened around it.
      name: What it measures.
      most: How many ticks at most.
      whole: Whether only whole numbers are marked.
    """
    low, high = spread(low, high)
    values = [value for value in round_values(low, high, most) if not whole or value == round(value)]
    step = min((after - before for before, after in itertools.pairwise(values)), default=1.0)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    while decimals < 12 and abs(round(step, decimals) - step) > step * 1e-6:
        decimals += 1
    return Axis(low, high, tuple(Tick(value, _text(value, decimals)) for value in values), name)


def _text(value: float, decimals: int) -> str:
    if abs(value) >= 1e6:
        return f"{value:.3g}".replace("e+0", "e").replace("e+", "e").replace("-", "\u2212")
    return f"{value + 0.0:,.{decimals}f}".replace("-", "\u2212")
