"""A numeric column's histograms of train and eval, in the same bins."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

from pipeline.report.axis import Axis, Tick, axis, spread
from pipeline.report.cumulative import Cumulative
from pipeline.report.numbers import instant, number, percent
from pipeline.report.plot import Frame, Path, Plot, Text

_MOST_BINS = 24
_BEYOND = 1.6
"""Width of the bar for what lies beyond the axis, in bins."""


@dataclasses.dataclass(frozen=True)
class Bins:
    """Bins that both splits share, and the share of each split's values in them."""

    edges: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...]
    """One entry a split: one share a bin; nothing for a split without values."""
    below: tuple[float, ...]
    above: tuple[float, ...]
    """One entry a split: the share of its values outside the bins."""

    @property
    def shift(self) -> float:
        """The share of rows that would have to change their bin for both splits to look the same."""
        first, second = (
            (below, *shares, above) for below, shares, above in zip(self.below, self.shares, self.above, strict=True)
        )
        return sum(abs(a - b) for a, b in zip(first, second, strict=True)) / 2


def bins(splits: Sequence[Cumulative | None], whole: bool) -> Bins | None:
    """Chooses bins in which the bulk of both splits can be seen.

    They span all values; where a split's outer tenth takes more than two thirds of that, they stop where it starts.
    TFDV's buckets say little of what lies in so long a tail.

    Args:
      splits: One entry a split, None if it has no values.
      whole: Whether the values are whole numbers, see `cumulative`.

    Returns:
      None if no split has values.
    """
    found = [split for split in splits if split]
    if not found:
        return None
    low, high = min(split.low for split in found), max(split.high for split in found)
    start, end = max(split.quantile(0.1) for split in found), min(split.quantile(0.9) for split in found)
    width = high - low
    if start < end:
        low, high = start if start - low > width * 2 / 3 else low, end if high - end > width * 2 / 3 else high
    edges = _edges(low, high, whole)
    return Bins(
        edges=edges,
        shares=tuple(_shares(split, edges) if split else () for split in splits),
        below=tuple(split.at_or_below(edges[0]) if split and split.low < edges[0] else 0.0 for split in splits),
        above=tuple(1 - split.at_or_below(edges[-1]) if split else 0.0 for split in splits),
    )


def _shares(split: Cumulative, edges: Sequence[float]) -> tuple[float, ...]:
    """A bin includes its upper end, the first one its lower end too."""
    below = [split.at_or_below(edge) for edge in edges]
    if split.low >= edges[0]:
        below[0] = 0.0
    return tuple(after - before for before, after in itertools.pairwise(below))


def _edges(low: float, high: float, whole: bool) -> tuple[float, ...]:
    if whole:
        first, last = math.floor(low - 0.5) + 0.5, math.ceil(high - 0.5) + 0.5
        step = max(1, math.ceil((last - first) / _MOST_BINS))
        count = max(1, math.ceil((last - first) / step))
        return tuple(first + index * step for index in range(count + 1))
    low, high = spread(low, high)
    return (*(low + (high - low) * index / _MOST_BINS for index in range(_MOST_BINS)), high)


def histogram(name: str, found: Bins, dates: bool) -> Plot:
    """Draws the first split as areas, the second as a line; hatched ends hold what lies beyond the axis."""
    step = found.edges[1] - found.edges[0]
    beyond_low, beyond_high = any(share > 1e-9 for share in found.below), any(share > 1e-9 for share in found.above)
    low = found.edges[0] - (_BEYOND * step if beyond_low else 0)
    high = found.edges[-1] + (_BEYOND * step if beyond_high else 0)
    most = max(max((*shares, below, above), default=0.0)
               for shares, below, above in zip(found.shares, found.below, found.above, strict=True))  # fmt: skip
    shown = _date_axis(low, high) if dates else _value_axis(found.edges, low, high)
    up = axis(0, most * 1.06, most=4)
    ups = Axis(up.low, up.high, tuple(Tick(tick.at, percent(tick.at)) for tick in up.ticks))
    frame = Frame(shown, ups, width=340, height=150, left_margin=40, right_margin=18, top_margin=8, bottom_margin=24)
    paths = []
    for split, shares in enumerate(found.shares):
        style, closed = ("train", True) if split == 0 else ("eval", False)
        if shares:
            paths.append(Path(frame.steps(found.edges, shares, closed), f"{style} {'area' if closed else 'outline'}"))
        for share, left, right in (
            (found.below[split], low, low + step),
            (found.above[split], high - step, high),
        ):
            if share > 1e-9:
                paths.append(
                    Path(
                        frame.steps((left, right), (share,), closed),
                        f"{style} {'area' if closed else 'outline'} beyond",
                    )
                )
    texts = []
    if beyond_low:
        texts.append(Text(frame.at(low + step / 2, 0)[0], frame.bottom + 16, "less", style="mark"))
    if beyond_high:
        texts.append(Text(frame.at(high - step / 2, 0)[0], frame.bottom + 16, "more", style="mark"))
    say = instant if dates else number
    return frame.plot(
        name,
        f"Histogram of {name} in train and eval, from {say(found.edges[0])} to {say(found.edges[-1])}.",
        paths,
        texts=texts,
    )


def _value_axis(edges: Sequence[float], low: float, high: float) -> Axis:
    """Ticks inside the bins only, and none under the words at a hatched end."""
    room = (high - low) * 0.08
    first = edges[0] + (room if low < edges[0] else 0)
    last = edges[-1] - (room if high > edges[-1] else 0)
    ticks = axis(edges[0], edges[-1]).ticks
    return Axis(low, high, tuple(tick for tick in ticks if first <= tick.at <= last))


def _date_axis(low: float, high: float) -> Axis:
    places = [low + (high - low) * share for share in (0.1, 0.5, 0.9)]
    return Axis(low, high, tuple(Tick(place, instant(place, high - low)) for place in places))
