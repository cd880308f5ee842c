"""What the live features were computed from, and what they add to the model."""

import dataclasses
from collections.abc import Sequence

from modules.paired import Comparison, Pair
from pipeline.report.axis import Axis, axis
from pipeline.report.judgement import NAMES
from pipeline.report.labels import label
from pipeline.report.numbers import change, metric, number
from pipeline.report.plot import Dot, Frame, Path, Plot, Text
from pipeline.results.ablation import verdict
from pipeline.results.record import RunRecord

_SEEDS, _MEAN = 0.72, 0.25
"""Where the seeds and their mean lie on the plot's y axis from 0 to 1."""

_WORDS = {"better": "is better with them", "worse": "is worse with them", "no difference": "shows no difference"}


@dataclasses.dataclass(frozen=True)
class Events:
    """What was read."""

    read: str
    """How many events of which source, in words."""
    not_counted: tuple[str, ...]
    """Which of them do not count, and why."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One metric of the model with its live features and without them."""

    name: str
    with_it: str
    without_it: str
    difference: str
    low: str
    high: str
    verdict: str


@dataclasses.dataclass(frozen=True)
class Live:
    """What an ablation found; without rows, that there was none."""

    sentence: str
    rows: tuple[Row, ...]
    plots: tuple[Plot, ...]


def events(record: RunRecord) -> Events | None:
    """What the record says of events; None without live features."""
    if not record.live_features:
        return None
    read = " and ".join(f"{number(count)} events of {label(source)}" for source, count in record.events.items())
    return Events(read, tuple(label(each, 300) for each in record.not_counted))


def live(record: RunRecord, pairs: Sequence[Pair]) -> Live | None:
    """What the live features add; None if there are none."""
    if not record.live_features:
        return None
    rows = tuple(
        Row(
            name=NAMES[each.metric],
            with_it=metric(each.with_it),
            without_it=metric(each.without_it),
            difference=change(each.difference),
            low=change(each.low),
            high=change(each.high),
            verdict=verdict(each),
        )
        for each in record.ablation
    )
    return Live(_sentence(record), rows, tuple(_plot(each, pairs) for each in record.ablation))


def _sentence(record: RunRecord) -> str:
    features = "1 live feature" if record.live_features == 1 else f"{record.live_features} live features"
    if not record.ablation:
        return (
            f"The model has {features}. `evaluation.ablation_seeds: 5` trains it with and without them, and shows here "
            "what they add."
        )
    seeds = record.ablation[0].seeds
    tried = f"The same model was trained with its {features} and without"
    if all(verdict(each) == "no difference" for each in record.ablation):
        return f"{tried}: no difference that {seeds} seeds show."
    by_metric = ", ".join(f"{NAMES[each.metric]} {_WORDS[verdict(each)]}" for each in record.ablation)
    return f"{tried}, with {seeds} seeds each: {by_metric}."


def _plot(comparison: Comparison, pairs: Sequence[Pair]) -> Plot:
    """The difference under each seed, and below them their mean with its interval."""
    name = NAMES[comparison.metric]
    seeds = [(pair, pair.with_it[comparison.metric] - pair.without_it[comparison.metric]) for pair in pairs]
    values = [0.0, comparison.low, comparison.high, *(difference for _, difference in seeds)]
    room = (max(values) - min(values)) * 0.06
    across = axis(min(values) - room, max(values) + room, "with - without".replace("-", "\u2212"))
    frame = Frame(across, Axis(0, 1, ()), height=150, left_margin=64)
    zero, (low, mean_y), (high, _) = (
        frame.at(0, 0)[0], frame.at(comparison.low, _MEAN), frame.at(comparison.high, _MEAN)
    )  # fmt: skip
    between = f"{change(comparison.low)} to {change(comparison.high)}"
    mean = f"mean {change(comparison.difference)} (95\u00a0% interval {between})"
    return frame.plot(
        f"{name}: difference",
        f"Difference of {name} under {len(seeds)} seeds, with the live features less without: {mean}.",
        [
            Path(f"M{zero:.1f} {frame.top:.1f}V{frame.bottom:.1f}", "reference", "no difference"),
            Path(f"M{low:.1f} {mean_y:.1f}H{high:.1f}", "candidate interval", mean),
        ],
        [
            *(
                Dot(
                    *frame.at(difference, _SEEDS),
                    4,
                    "point",
                    f"seed {pair.seed}: {metric(pair.with_it[comparison.metric])} with, "
                    f"{metric(pair.without_it[comparison.metric])} without",
                )
                for pair, difference in seeds
            ),
            Dot(*frame.at(comparison.difference, _MEAN), 5, "candidate", mean),
        ],
        [Text(frame.left - 10, frame.at(0, y)[1] + 4, text, "end") for text, y in (("seeds", _SEEDS), ("mean", _MEAN))],
    )
