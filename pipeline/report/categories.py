"""A categorical column's most frequent values, in train and eval."""

import dataclasses
from collections.abc import Mapping, Sequence

from pipeline.report.labels import label, printable, shorten
from pipeline.report.numbers import percent

_MOST_VALUES = 7


@dataclasses.dataclass(frozen=True)
class Bar:
    """One share, as a bar."""

    text: str
    width: float
    """In percent of the longest bar of the same table."""


@dataclasses.dataclass(frozen=True)
class Category:
    """One value, or all the rest."""

    text: str
    title: str
    """The value in more of its length."""
    bars: tuple[Bar, ...]
    """One a split."""
    rest: bool = False


def categories(splits: Sequence[Mapping[str, float]], totals: Sequence[float]) -> tuple[Category, ...]:
    """The values with the largest shares of both splits together, then the rest in one.

    Args:
      splits: Rows by value, one entry a split.
      totals: Rows that have a value, one entry a split.

    Returns:
      Nothing if no split has a value.
    """
    shares = [
        {value: rows / total for value, rows in split.items()} if total else {}
        for split, total in zip(splits, totals, strict=True)
    ]
    values = sorted({value for split in shares for value in split}, key=lambda value: (-sum(
        split.get(value, 0.0) for split in shares), value))  # fmt: skip
    shown = values if len(values) <= _MOST_VALUES + 1 else values[:_MOST_VALUES]
    rows = [
        (label(value, 40), shorten(printable(value[:800]), 200), [split.get(value, 0.0) for split in shares], False)
        for value in shown
    ]
    rest = [max(0.0, 1 - sum(split.get(value, 0.0) for value in shown)) if split else 0.0 for split in shares]
    if len(values) > len(shown):
        rows.append(("all others", "", rest, True))
    longest = max((share for _, _, row, _ in rows for share in row), default=0.0) or 1.0
    return tuple(
        Category(text, title, tuple(Bar(percent(share), share / longest * 100) for share in row), rest)
        for text, title, row, rest in rows
    )


def shift(splits: Sequence[Mapping[str, float]], totals: Sequence[float]) -> float:
    """The share of rows that would have to change their value for both splits to look the same."""
    first, second = (
        {value: rows / total for value, rows in split.items()} for split, total in zip(splits, totals, strict=True)
    )
    listed = sum(abs(first.get(value, 0.0) - second.get(value, 0.0)) for value in first.keys() | second.keys())
    unlisted = abs(sum(first.values()) - sum(second.values()))
    return min(1.0, (listed + unlisted) / 2)
