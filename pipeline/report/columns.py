"""What StatisticsGen says of each column, train beside eval."""

import dataclasses
from collections.abc import Mapping, Sequence

from tensorflow_metadata.proto.v0 import statistics_pb2

from modules.spec import EVAL, ROW_ID, SPLITS, TRAIN, Column, Declaration
from modules.spec.live_feature import LiveFeature
from pipeline.report.categories import Category, categories, shift
from pipeline.report.cumulative import cumulative
from pipeline.report.histograms import bins, histogram
from pipeline.report.labels import label
from pipeline.report.numbers import instant, number, percent
from pipeline.report.plot import Plot

_SHOWN = (TRAIN, EVAL)
_MOST_CARDS = 60


@dataclasses.dataclass(frozen=True)
class Fact:
    """A line of a column's table."""

    name: str
    values: tuple[str, ...]
    """One a split."""


@dataclasses.dataclass(frozen=True)
class Card:
    """One column."""

    name: str
    about: str
    """Its type, its part, and how it is transformed."""
    facts: tuple[Fact, ...]
    shift: float | None
    """Between train and eval, see `Bins.shift`; None where one has no values, and for the time that splits them."""
    plot: Plot | None
    categories: tuple[Category, ...]

    @property
    def shift_text(self) -> str:
        return "" if self.shift is None else percent(self.shift)


@dataclasses.dataclass(frozen=True)
class Columns:
    """The columns that are shown, and how many are not."""

    cards: tuple[Card, ...]
    left_out: int


def columns(statistics: Sequence[statistics_pb2.DatasetFeatureStatisticsList], declaration: Declaration) -> Columns:
    """The columns in the order of their declaration; of very many, those that shift the most.

    Args:
      statistics: One entry a split, in the order of SPLITS.
      declaration: Says what each column is for.
    """
    by_split = dict(zip(SPLITS, statistics, strict=True))
    found = [_by_name(by_split[split]) for split in _SHOWN]
    rows = [by_split[split].datasets[0].num_examples for split in _SHOWN]
    order = [*declaration.features, *declaration.keys, *filter(None, [declaration.time]), declaration.label.name]
    names = [name for name in order if name != ROW_ID and any(name in split for split in found)]
    cards = [_card(name, [split.get(name) for split in found], rows, declaration) for name in names]
    ranked = sorted(range(len(cards)), key=lambda index: cards[index].shift or 0.0, reverse=True)
    cards = [cards[index] for index in sorted(ranked[:_MOST_CARDS])]
    return Columns(tuple(cards), len(names) - len(cards))


def _by_name(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
) -> dict[str, statistics_pb2.FeatureNameStatistics]:
    return {feature.path.step[0]: feature for feature in statistics.datasets[0].features}


def _card(
    name: str,
    splits: Sequence[statistics_pb2.FeatureNameStatistics | None],
    rows: Sequence[int],
    declaration: Declaration,
) -> Card:
    column = (declaration.columns | declaration.features).get(name)
    kind = "label" if name == declaration.label.name else column.type if column else "string"
    about = "label, 0 or 1" if kind == "label" else _about(column, declaration.live_features.get(name))
    missing = Fact("missing", tuple(_missing(split, of) for split, of in zip(splits, rows, strict=True)))
    if kind in ("label", "bool", "string"):
        counts = [_strings(split) if kind == "string" else _truths(split, kind) for split in splits]
        totals = [_present(split) for split in splits]
        facts = [missing]
        if kind == "string":
            facts.append(Fact("distinct", tuple(_distinct(split) for split in splits)))
        moved = shift(counts, totals) if all(totals) else None
        return Card(label(name), about, tuple(facts), moved, None, categories(counts, totals))
    dates, whole = kind == "timestamp", kind == "int"
    by_design = name == declaration.time and declaration.split.by == "time"
    found = bins([cumulative(split.num_stats, whole) if split else None for split in splits], whole)
    return Card(
        name=label(name),
        about=about,
        facts=(missing, *_numeric_facts(splits, dates)),
        shift=found.shift if found and all(found.shares) and not by_design else None,
        plot=histogram(label(name), found, dates) if found else None,
        categories=(),
    )


def _about(column: Column | None, live: LiveFeature | None) -> str:
    if column is None:
        return ""
    parts: list[str] = [column.type]
    if live:
        parts.append(_live(live))
    if column.role != "feature":
        parts.append(column.role)
    if column.transform:
        settings = column.transform.model_dump(exclude={"name"})
        words = [column.transform.name, *(f"{name} {value:,}" for name, value in settings.items())]
        parts.append(", ".join(words).replace("_", " "))
    return " \u00b7 ".join(parts)


def _live(feature: LiveFeature) -> str:
    """Of what, from which events, by which key and over how long it is computed."""
    values = [taken.value or "events" for taken in feature.takes]
    what = "" if feature.aggregation == "count" else f" of {' to '.join(map(label, values))}"
    delay = "" if feature.delay == "0s" else f" at least {feature.delay} old"
    return (
        f"live: {feature.aggregation.replace('_', ' ')}{what}, from {label(feature.source)}{delay}, "
        f"by {', '.join(map(label, feature.key))}, over {feature.window}"
    )


def _common(split: statistics_pb2.FeatureNameStatistics) -> statistics_pb2.CommonStatistics:
    return (split.string_stats if split.WhichOneof("stats") == "string_stats" else split.num_stats).common_stats


def _present(split: statistics_pb2.FeatureNameStatistics | None) -> int:
    return int(_common(split).num_non_missing) if split else 0


def _missing(split: statistics_pb2.FeatureNameStatistics | None, rows: int) -> str:
    return percent(1 - _present(split) / rows) if rows else "no rows"


def _distinct(split: statistics_pb2.FeatureNameStatistics | None) -> str:
    return number(split.string_stats.unique) if split else "0"


def _strings(split: statistics_pb2.FeatureNameStatistics | None) -> Mapping[str, float]:
    return {bucket.label: bucket.sample_count for bucket in split.string_stats.rank_histogram.buckets} if split else {}


def _truths(split: statistics_pb2.FeatureNameStatistics | None, kind: str) -> Mapping[str, float]:
    """Rows by value of a column of zeros and ones."""
    present = _present(split)
    if not split or not present:
        return {}
    zeros = int(split.num_stats.num_zeros)
    no, yes = ("0", "1") if kind == "label" else ("false", "true")
    return {no: zeros, yes: present - zeros}


def _numeric_facts(splits: Sequence[statistics_pb2.FeatureNameStatistics | None], dates: bool) -> tuple[Fact, ...]:
    fields = {"min": "min", "median": "median", "max": "max"}
    if not dates:
        fields = {"mean": "mean", "std dev": "std_dev", **fields}
    say = instant if dates else number
    return tuple(
        Fact(
            name,
            tuple(
                say(getattr(split.num_stats, field)) if split and _present(split) else "no values" for split in splits
            ),
        )
        for name, field in fields.items()
    )
