"""What the parity gate compared, and where training and serving differ."""

import dataclasses
import itertools
import shlex
from collections.abc import Sequence

from modules.spec.instant import written_instant
from pipeline.parity import check
from pipeline.report.labels import label
from pipeline.report.numbers import number
from pipeline.results.record import RunRecord


@dataclasses.dataclass(frozen=True)
class Side:
    """What one side of a difference has."""

    name: str
    value: str
    bits: tuple[tuple[str, bool], ...]
    """Runs of hexadecimal digits, and whether the other side has others there."""
    events: str
    """What the value is made from, in words; empty where that is not known."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """One value that differs."""

    feature: str
    key: tuple[str, ...]
    time: str
    sides: tuple[Side, Side]
    explain: str
    """The command that shows the events; empty where there are none."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One check."""

    name: str
    passed: bool
    compared: str
    differing: str
    """Values."""
    sentence: str
    differences: tuple[Difference, ...]
    """The first few."""


def parity(record: RunRecord, options: Sequence[str]) -> tuple[Row, ...]:
    """The gate's checks in their order.

    Args:
      record: The run's.
      options: With which a command finds the run's declaration.
    """
    return tuple(
        Row(
            name=each.name,
            passed=each.passed,
            compared=number(each.compared),
            differing=number(each.differing),
            sentence=label(each.sentence, 2000),
            differences=tuple(_difference(difference, options) for difference in each.differences),
        )
        for each in record.parity
    )


def _difference(found: check.Difference, options: Sequence[str]) -> Difference:
    sides = ((found.expected, found.expected_bits), (found.found, found.found_bits))
    counted = (found.expected_events, found.found_events)
    return Difference(
        feature=label(found.feature, 200),
        key=tuple(label(f"{name} = {value}", 200) for name, value in found.key.items()),
        time="" if found.time is None else written_instant(found.time),
        sides=tuple(  # type: ignore[arg-type]
            Side(name, label(value, 200), _runs(bits, other), str(events or ""))
            for name, (value, bits), (_, other), events in zip(
                ("expected", "found"), sides, reversed(sides), counted, strict=True
            )
        ),
        explain=found.explain and shlex.join([*shlex.split(found.explain), *options]),
    )


def _runs(bits: str, other: str) -> tuple[tuple[str, bool], ...]:
    """Digits side by side, those that differ apart from those that do not."""
    pairs = itertools.groupby(zip(bits, other, strict=False), lambda pair: pair[0] != pair[1])
    return tuple(("".join(digit for digit, _ in run), differs) for differs, run in pairs)
