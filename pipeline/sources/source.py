"""What a source of events does: it gives batches of events as they were written, and takes back what is merged.

A source has partitions, each a log of its own. Beside each batch stands the watermark: everything that the partition
was given before it is in this batch or an earlier one.
"""

import dataclasses
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import pyarrow as pa

EARLIEST = -62_135_596_800_000_000
"""The watermark of a partition of which nothing is known: 0001-01-01T00:00:00Z, before which no event can be."""


@dataclasses.dataclass(frozen=True)
class Broken:
    """A message that is not an event."""

    payload: bytes
    reason: str
    """Why, in words."""
    ingest: int
    """When the log took it in, in microseconds."""


@dataclasses.dataclass(frozen=True)
class EventBatch:
    """Events of one partition, none converted yet."""

    source: str
    """The source's name in the declaration."""
    partition: str
    rows: pa.RecordBatch
    """The events' declared columns, as they were written; a column that an event leaves out is null."""
    ingest: np.ndarray | None
    """int64, shape (rows,): when the log took each in, in microseconds; None where nothing is known about it: then the
    event's own time stands for it."""
    payloads: tuple[bytes, ...] | None
    """Each event as it came, for the dead letters; None: it is the row itself (written as JSON)."""
    broken: tuple[Broken, ...]
    """What could not be split into columns."""
    watermark: int
    """Microseconds of ingest time; everything ingested before it is in this batch or an earlier one."""
    position: int
    """How many of the partition's events are in this and the earlier batches, where the source counts them; else 0."""
    receipts: tuple[object, ...] = ()
    """What the source needs to acknowledge the batch."""


class Partition(Protocol):
    """One log, read from a position on."""

    def poll(self, max_events: int) -> EventBatch | None:
        """The next events, at most so many; a batch without rows when there are none now (the watermark still moves).

        None: the log has ended, and nothing will come.

        Raises:
          SourceUnavailable: It is down or slow; the caller repeats.
          InputError: What it holds cannot be read.
        """
        ...

    def acknowledge(self, batches: Sequence[EventBatch]) -> None:
        """Says that the batches are merged and need not be sent again. Idempotent."""
        ...

    def close(self) -> None:
        """Gives back connections, and what was polled and not acknowledged."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class EventSource(Protocol):
    """Where events come from. It is small and can be pickled; a `Partition` is opened where it is read."""

    @property
    def name(self) -> str:
        """The source's name in the declaration."""
        ...

    @property
    def log(self) -> str | None:
        """Which log it reads, in words: positions in its partitions mean nothing in another.

        None: it says nothing of how far its source is merged.
        """
        ...

    def partitions(self) -> list[str]:
        """The names of its partitions."""
        ...

    def open(self, partition: str, position: int) -> Partition:
        """Opens a partition after the first `position` events, where the source counts them; else where it was left."""
        ...
