"""What the parity gate compared before the model was pushed."""

import dataclasses

from pipeline.report.numbers import number
from pipeline.results.record import RunRecord


@dataclasses.dataclass(frozen=True)
class Row:
    """One check, which passed: a model of which a check fails is not pushed, and leaves no page."""

    name: str
    compared: str
    """Values."""
    sentence: str


def parity(record: RunRecord) -> tuple[Row, ...]:
    """The gate's checks in their order."""
    return tuple(Row(check.name, number(check.compared), check.sentence) for check in record.parity)
