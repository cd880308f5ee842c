"""The metrics by slice, as horizontal bars."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from modules.spec import Declaration
from pipeline.components.evaluator import METRICS
from pipeline.report.judgement import NAMES
from pipeline.report.labels import label, printable, shorten
from pipeline.report.numbers import number
from pipeline.report.scores import Classes

SliceMetrics = Mapping[tuple[tuple[str, str], ...], Mapping[str, float]]

FEW = 30
"""Slices of fewer rows are shown, but not to be leant on."""

_MOST_SLICES = 24
_NEEDS_BOTH_CLASSES = {"auc"}


@dataclasses.dataclass(frozen=True)
class Cell:
    """A metric of a slice; no width: it is undefined or infinite."""

    text: str
    width: float | None
    """In percent of the column's longest bar."""


@dataclasses.dataclass(frozen=True)
class Slice:
    """The rows with one value of the column."""

    value: str
    title: str
    rows: str
    width: float
    """Of the rows, in percent of the largest slice."""
    few: bool
    cells: tuple[Cell, ...]


@dataclasses.dataclass(frozen=True)
class SliceTable:
    """The slices of one column."""

    column: str
    metrics: tuple[str, ...]
    overall: tuple[Cell, ...]
    """Of the whole eval split, on the same scales."""
    rows: str
    slices: tuple[Slice, ...]
    left_out: int
    left_out_rows: str


def slice_tables(
    found: SliceMetrics, classes: Mapping[tuple[str, str], Classes], declaration: Declaration
) -> tuple[SliceTable, ...]:
    """One table a column, with the metrics that have a threshold.

    Args:
      found: See `figures.sliced_metrics`. TFMA calls the AUC of one class 0; it is undefined, and shown so.
      classes: Rows and positives by slice.
      declaration: Gives the columns and the thresholds.
    """
    metrics = tuple(name for name in METRICS if name in set(declaration.evaluation.thresholds))
    tables = []
    for column in declaration.evaluation.slices:
        mine = {key[0][1]: values for key, values in found.items() if len(key) == 1 and key[0][0] == column}
        if mine:
            tables.append(_table(column, metrics, found[()], mine, classes))
    return tuple(tables)


def _table(
    column: str,
    metrics: Sequence[str],
    overall: Mapping[str, float],
    mine: Mapping[str, Mapping[str, float]],
    classes: Mapping[tuple[str, str], Classes],
) -> SliceTable:
    largest = sorted(mine, key=lambda value: (-mine[value]["example_count"], value))
    shown, rest = largest[:_MOST_SLICES], largest[_MOST_SLICES:]
    values = {
        value: {name: _defined(mine[value][name], name, classes.get((column, value))) for name in metrics}
        for value in shown
    }
    longest = {
        name: max((each for each in (overall[name], *(row[name] for row in values.values())) if math.isfinite(each)),
                  default=1.0) or 1.0
        for name in metrics
    }  # fmt: skip
    most = mine[largest[0]]["example_count"] or 1.0
    return SliceTable(
        column=label(column),
        metrics=tuple(NAMES[name] for name in metrics),
        overall=tuple(_cell(overall[name], longest[name]) for name in metrics),
        rows=number(overall["example_count"]),
        slices=tuple(
            Slice(
                value=label(value, 40),
                title=shorten(printable(value[:800]), 200),
                rows=number(mine[value]["example_count"]),
                width=mine[value]["example_count"] / most * 100,
                few=mine[value]["example_count"] < FEW,
                cells=tuple(_cell(values[value][name], longest[name]) for name in metrics),
            )
            for value in _in_order(shown)
        ),
        left_out=len(rest),
        left_out_rows=number(sum(mine[value]["example_count"] for value in rest)),
    )


def _defined(value: float, name: str, classes: Classes | None) -> float:
    return math.nan if name in _NEEDS_BOTH_CLASSES and classes and not classes.both else value


def _cell(value: float, longest: float) -> Cell:
    return Cell(f"{value:.3f}", value / longest * 100) if math.isfinite(value) else Cell(number(value), None)


def _in_order(values: Sequence[str]) -> list[str]:
    """Numbers by size, other values as they come: by rows."""
    try:
        return sorted(values, key=float)
    except ValueError:
        return list(values)
