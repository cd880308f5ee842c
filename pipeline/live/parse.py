"""From events as they were written to events that count: cast to the declared types, judged, taken in.

The batch job and the streaming job parse here and nowhere else.
"""

import dataclasses
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modules.kernel.plan import Source
from modules.kernel.take import COUNTS, FUTURE, LATE, VALUE, Events, judge, take
from modules.spec import Typed
from pipeline.ingest.conform import accepted, conform

Reason = Literal["schema", "value", "late", "future"]
_REASONS: dict[int, Reason] = {VALUE: "value", LATE: "late", FUTURE: "future"}


@dataclasses.dataclass(frozen=True)
class Rejected:
    """Events that do not count, and why."""

    reason: Reason
    detail: str
    """What was read and what is accepted, in words."""
    rows: np.ndarray
    """int64: which events."""


@dataclasses.dataclass(frozen=True)
class Parsed:
    """What a batch of events holds."""

    events: Events
    rows: np.ndarray
    """int64, shape (events,): where in the batch they are."""
    rejected: tuple[Rejected, ...]
    """The other events, each once."""


def parse(source: Source, types: dict[str, Typed], rows: pa.RecordBatch, ingest: np.ndarray | None) -> Parsed:
    """Reads a batch of events.

    Args:
      source: Where they are from.
      types: The source's columns.
      rows: Those columns, as they were written.
      ingest: int64, shape (rows,): when each was taken in, in microseconds; None: as the source's columns say.

    Raises:
      InputError: A column is of an Arrow type that the declared type could not hold.
    """
    columns: dict[str, pa.Array] = {}
    rejected: list[Rejected] = []
    good = np.ones(len(rows), bool)

    def reject(reason: Reason, detail: str, bad: np.ndarray) -> None:
        nonlocal good
        if (bad & good).any():
            rejected.append(Rejected(reason, detail, np.flatnonzero(bad & good)))
            good &= ~bad

    for name, typed in types.items():
        columns[name], bad = conform(rows.column(name), typed, name)
        reject("schema", f"column {name}: accepted: {accepted(typed)}", bad)
    null = pc.is_null(columns[source.time]).to_numpy(zero_copy_only=False)
    reject("schema", f"column {source.time}: accepted: a value in every event, because it is the event's time", null)
    at = np.flatnonzero(good)
    if len(at) < len(rows):
        columns = {name: column.take(pa.array(at)) for name, column in columns.items()}
        ingest = None if ingest is None else ingest[at]
    verdicts = judge(source, columns, ingest)
    details = {
        VALUE: "a number is not finite, or 2^53 or more in its units",
        LATE: f"taken in more than {source.lateness / 1e6:g} s after the event's time",
        FUTURE: f"the event's time lies more than {source.ahead / 1e6:g} s after it was taken in",
    }
    for verdict, reason in _REASONS.items():
        if len(those := at[verdicts == verdict]):
            rejected.append(Rejected(reason, details[verdict], those))
    counted = np.flatnonzero(verdicts == COUNTS)
    if len(counted) < len(at):
        columns = {name: column.take(pa.array(counted)) for name, column in columns.items()}
    return Parsed(take(source, columns), at[counted], tuple(rejected))
