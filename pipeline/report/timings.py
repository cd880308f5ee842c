"""Where the time of a run went: components ran one after the other, so each bar starts where the last one ended."""

import dataclasses
from collections.abc import Sequence

from pipeline.report.numbers import duration
from pipeline.results.record import ComponentRecord


@dataclasses.dataclass(frozen=True)
class Timing:
    """One component's row."""

    name: str
    figure: str
    time: str
    reused: bool
    start: float
    length: float
    """In percent of all components' time."""


def timings(components: Sequence[ComponentRecord]) -> tuple[Timing, ...]:
    """One row a component, in the order in which they ran."""
    total = sum(component.seconds for component in components) or 1.0
    rows, start = [], 0.0
    for component in components:
        share = component.seconds / total * 100
        rows.append(
            Timing(component.name, component.figure, duration(component.seconds), component.cached, start, share)
        )
        start += share
    return tuple(rows)
