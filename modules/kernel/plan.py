"""What the kernel is told to compute, in whole ticks and microseconds; made from a declaration by `modules/live.py`."""

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np

from modules.kernel.window import Window, Windows

Part = Literal["count", "sum", "squares", "min", "max", "last"]
PART_SIZES: dict[Part, int] = {"count": 1, "sum": 2, "squares": 4, "min": 1, "max": 1, "last": 2}
"""How many int64 each accumulator takes."""
PARTS: dict[str, tuple[Part, ...]] = {
    "count": ("count",),
    "sum": ("count", "sum"),
    "mean": ("count", "sum"),
    "min": ("min",),
    "max": ("max",),
    "last": ("last",),
    "stddev": ("count", "sum", "squares"),
}
"""The accumulators that an aggregation needs; ratio needs those of its two sides, approx_distinct registers."""


@dataclasses.dataclass(frozen=True)
class Condition:
    """What a column must be, all of it; a null never is."""

    column: str
    one_of: tuple[str | int | bool, ...] | None = None
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None


@dataclasses.dataclass(frozen=True)
class Taking:
    """What is taken in of an event."""

    value: str | None
    """A column; None: the event itself."""
    scale: int
    """The value is taken in as rint(value * scale)."""
    filter: tuple[Condition, ...]


@dataclasses.dataclass(frozen=True)
class Feature:
    """A value as of a time."""

    name: str
    aggregation: str
    taking: Taking
    over: Taking | None
    """The divisor of a ratio."""
    window: Window
    default: float
    include_request: bool

    @property
    def dtype(self) -> type:
        """Int for counts, else float: int64 or float64."""
        return int if self.aggregation in ("count", "approx_distinct") else float


@dataclasses.dataclass(frozen=True, eq=False)
class Family:
    """Features that differ in nothing but name, window and default, so that they are computed at once."""

    features: tuple[Feature, ...]
    windows: np.ndarray | slice
    """Which of the `Families.windows` each has; int64, shape (features,), or a slice where they are neighbours."""
    defaults: np.ndarray
    """float64, shape (features, 1)."""

    @property
    def one(self) -> Feature:
        """One of them, for what they have in common."""
        return self.features[0]


class Families:
    """Features that are computed from the same table, by what they have in common."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self.windows = tuple(dict.fromkeys(feature.window for feature in features))
        """The distinct windows."""
        numbers = {window: number for number, window in enumerate(self.windows)}
        groups: dict[Feature, list[Feature]] = {}
        for feature in features:
            groups.setdefault(dataclasses.replace(feature, name="", window=features[0].window, default=0), []).append(
                feature
            )
        self.members = tuple(
            Family(
                tuple(group),
                _places([numbers[feature.window] for feature in group]),
                np.array([[feature.default] for feature in group], np.float64),
            )
            for group in groups.values()
        )


def _places(numbers: list[int]) -> np.ndarray | slice:
    neighbours = slice(numbers[0], numbers[0] + len(numbers))
    return neighbours if numbers == list(range(neighbours.start, neighbours.stop)) else np.array(numbers)


@dataclasses.dataclass(frozen=True)
class Source:
    """A stream of events; times in microseconds."""

    name: str
    tick: int
    time: str
    ingest_time: str | None
    id: tuple[str, ...]
    """The columns that tell events apart."""
    lateness: int
    ahead: int
    slack: int
    lookback: int
    """In slots."""
    takings: tuple[Taking, ...]
    """All numbers that any entity takes in of it, to judge them; of what approx_distinct counts only hashes are."""


@dataclasses.dataclass(frozen=True)
class Entity:
    """The rows of one source by one key, and the features that are computed from them."""

    source: Source
    key: tuple[str, ...]
    features: tuple[Feature, ...]

    @property
    def name(self) -> str:
        """Where its rows are: the source and the key's columns."""
        return f"{self.source.name}/{','.join(self.key)}"

    @cached_property
    def exact(self) -> tuple[Feature, ...]:
        """The features that are computed from cells."""
        return tuple(feature for feature in self.features if feature.aggregation != "approx_distinct")

    @cached_property
    def distinct(self) -> tuple[Feature, ...]:
        """The features that are computed from registers."""
        return tuple(feature for feature in self.features if feature.aggregation == "approx_distinct")

    @cached_property
    def exact_families(self) -> Families:
        """`exact`, by what is computed at once."""
        return Families(self.exact)

    @cached_property
    def distinct_families(self) -> Families:
        """`distinct`, by what is computed at once."""
        return Families(self.distinct)

    @cached_property
    def answered(self) -> tuple[Feature, ...]:
        """The features in the order in which `answer` gives them: by family."""
        families = *self.exact_families.members, *self.distinct_families.members
        return tuple(feature for family in families for feature in family.features)

    @cached_property
    def windows(self) -> Windows:
        """The windows of `exact_families`, and after them those of `distinct_families`."""
        return Windows([*self.exact_families.windows, *self.distinct_families.windows])

    @cached_property
    def window_of(self) -> np.ndarray:
        """Which of the `windows` each of `answered` has; int64, shape (features,)."""
        exact, distinct = self.exact_families.windows, self.distinct_families.windows
        return np.array(
            [
                exact.index(feature.window)
                if feature.aggregation != "approx_distinct"
                else len(exact) + distinct.index(feature.window)
                for feature in self.answered
            ]
        )

    @cached_property
    def included(self) -> tuple[Feature, ...]:
        """The features that take in the request itself."""
        return tuple(feature for feature in self.features if feature.include_request)

    @cached_property
    def layout(self) -> dict[Taking, dict[Part, int]]:
        """For each value that is aggregated, where its accumulators start among the rows of a cell table."""
        parts: dict[Taking, set[Part]] = {}
        for feature in self.exact:
            for taking, needed in needs(feature):
                parts.setdefault(taking, set()).update(needed)
        at = 2
        layout: dict[Taking, dict[Part, int]] = {}
        for taking in sorted(parts, key=repr):
            layout[taking] = {}
            for part, size in PART_SIZES.items():
                if part in parts[taking]:
                    layout[taking][part] = at
                    at += size
        return layout

    @cached_property
    def takings(self) -> tuple[Taking, ...]:
        """The values that cells aggregate."""
        return tuple(self.layout)

    @cached_property
    def height(self) -> int:
        """How many int64 a cell takes: its start, its width, and the accumulators."""
        return 2 + sum(PART_SIZES[part] for parts in self.layout.values() for part in parts)

    @cached_property
    def counted(self) -> tuple[Taking, ...]:
        """The values whose different ones are counted, in the order of their numbers in the registers."""
        return tuple(sorted({feature.taking for feature in self.distinct}, key=repr))

    @cached_property
    def reach(self) -> int:
        """How many ticks after an event's slot no request sees it any more."""
        return max(w.length + w.delay + w.step + w.edge for w in (feature.window for feature in self.features))


def needs(feature: Feature) -> list[tuple[Taking, Sequence[Part]]]:
    """What a feature that is computed from cells reads of them."""
    if feature.aggregation != "ratio":
        return [(feature.taking, PARTS[feature.aggregation])]
    assert feature.over is not None
    return [(taking, ("count",) if taking.value is None else ("sum",)) for taking in (feature.taking, feature.over)]


def named_sources(entities: Sequence[Entity]) -> dict[str, Source]:
    """The sources that features are computed from, by name."""
    return {entity.source.name: entity.source for entity in entities}
