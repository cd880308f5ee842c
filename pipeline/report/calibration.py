"""Whether the scores are the shares that they say: the calibration plot, and the scores by label."""

import dataclasses
import math

import numpy as np

from pipeline.report.axis import Axis, Tick, axis
from pipeline.report.numbers import percent
from pipeline.report.plot import Dot, Frame, Key, Path, Plot
from pipeline.report.scores import Flags, Floats, Scores

_BINS = 10
_FINE_BINS = 25
_DEVIATIONS = 1.959964
"""95 % of a normal distribution lies within."""


@dataclasses.dataclass(frozen=True)
class Bin:
    """The rows whose score lies in one tenth of [0, 1]."""

    rows: int
    score: float
    """Their mean score."""
    observed: float
    """The share of positives."""
    low: float
    high: float
    """Wilson's 95 % interval of that share."""


def calibration(labels: Flags, scores: Floats) -> tuple[Bin, ...]:
    """Bins of equal width, empty ones left out; a bin includes its lower end, the last one 1 too."""
    where = np.clip((scores * _BINS).astype(np.int64), 0, _BINS - 1)
    bins = []
    for index in range(_BINS):
        inside = where == index
        rows = int(inside.sum())
        if rows:
            observed = float(labels[inside].mean())
            bins.append(Bin(rows, float(scores[inside].mean()), observed, *wilson(observed, rows)))
    return tuple(bins)


def wilson(share: float, rows: int) -> tuple[float, float]:
    """The 95 % interval of a share that was counted in `rows` rows (Wilson 1927)."""
    square = _DEVIATIONS**2
    middle = (share + square / (2 * rows)) / (1 + square / rows)
    half = _DEVIATIONS / (1 + square / rows) * math.sqrt(share * (1 - share) / rows + square / (4 * rows**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def calibration_plot(scores: Scores) -> Plot:
    """The share of positives against the score; a dot's area is its share of the rows."""
    frame = Frame(axis(0, 1, "mean score"), axis(0, 1, "share of positives"))
    bins = calibration(scores.labels, scores.candidate)
    most = max(each.rows for each in bins)
    paths = [Path(frame.line((0, 1), (0, 1)), "reference", "as it should be")]
    dots = []
    for each in bins:
        x, low = frame.at(each.score, each.low)
        _, high = frame.at(each.score, each.high)
        title = (
            f"{each.rows:,} rows with a mean score of {percent(each.score)}: {percent(each.observed)} are positive "
            f"(95\u00a0% interval {percent(each.low)} to {percent(each.high)})"
        )
        paths.append(Path(f"M{x:.1f} {low:.1f}L{x:.1f} {high:.1f}", "candidate interval", title))
        radius = 3 + 4 * math.sqrt(each.rows / most)
        dots.append(Dot(*frame.at(each.score, each.observed), radius, "candidate", title))
    worst = max(bins, key=lambda each: abs(each.score - each.observed))
    return frame.plot(
        "Calibration",
        f"Share of positives by mean score in {len(bins)} bins. Farthest off: score {percent(worst.score)}, "
        f"{percent(worst.observed)} positive, {worst.rows:,} rows.",
        paths,
        dots,
        keys=[Key("this model, with 95\u00a0% interval", "candidate"), Key("as it should be", "reference")],
    )


def score_plot(scores: Scores) -> Plot:
    """The scores' histogram by label, each label's rows making 100 %."""
    edges = np.linspace(0, 1, _FINE_BINS + 1)
    shares = {}
    for style, rows in (("negative", ~scores.labels), ("positive", scores.labels)):
        counts, _ = np.histogram(np.clip(scores.candidate[rows], 0, 1), edges)
        shares[style] = counts / max(1, int(rows.sum()))
    up = axis(0, max(float(each.max()) for each in shares.values()) * 1.04, "share of the label's rows")
    ups = Axis(up.low, up.high, tuple(Tick(tick.at, percent(tick.at)) for tick in up.ticks), up.name)
    frame = Frame(axis(0, 1, "score"), ups)
    places = [float(edge) for edge in edges]
    paths = [
        Path(frame.steps(places, [float(share) for share in each], closed=True), f"{style} area outlined")
        for style, each in shares.items()
    ]
    mean = {style: float(scores.candidate[rows].mean()) if rows.any() else math.nan
            for style, rows in (("negative", ~scores.labels), ("positive", scores.labels))}  # fmt: skip
    return frame.plot(
        "Scores by label",
        f"Histogram of scores by label. Mean score: {percent(mean['negative'])} where the label is 0, "
        f"{percent(mean['positive'])} where it is 1.",
        paths,
        keys=[Key("label 0", "negative"), Key("label 1", "positive")],
    )
