"""History up to an ingest time as one more partition of its source."""

import dataclasses
from collections.abc import Sequence

from pipeline.live.watermark import HISTORY
from pipeline.sources.recorded import Recorded, RecordedPartition
from pipeline.sources.source import EventBatch, Partition
from pipeline.stores.store import OnlineStore


def unfinished(store: OnlineStore) -> list[str]:
    """The sources whose bootstrap was begun and is not done."""
    begun = {register.source for register in store.registers() if register.partition == HISTORY}
    return sorted(begun - {mark.removeprefix(_DONE) for mark in store.marks() if mark.startswith(_DONE)})


def note_done(store: OnlineStore, source: str, until: int) -> None:
    """Notes that a source's history up to an ingest time, in microseconds, is merged."""
    store.mark(f"{_DONE}{source}", str(until))


_DONE = "bootstrapped/"


@dataclasses.dataclass(frozen=True)
class History:
    """An `EventSource` of the recorded events ingested before a time."""

    recorded: Recorded
    until: int | None
    """Ingest time in microseconds; None: one microsecond past the last event's."""

    @property
    def name(self) -> str:
        """The source's name in the declaration."""
        return self.recorded.name

    @property
    def log(self) -> str:
        """Its files."""
        return self.recorded.log

    def partitions(self) -> list[str]:
        """The one partition."""
        return [HISTORY]

    def open(self, partition: str, position: int) -> Partition:
        """Opens it after the first `position` events."""
        return _HistoryPartition(self.recorded.open(partition, position), self.until)


class _HistoryPartition(Partition):
    def __init__(self, inner: RecordedPartition, until: int | None) -> None:
        self._inner, self._until = inner, until
        inner.pause_at(until)

    def poll(self, max_events: int) -> EventBatch | None:
        batch = self._inner.poll(max_events)
        if batch is None or len(batch.rows) or batch.broken:
            return batch
        return None if self._until is not None and batch.watermark >= self._until else batch

    def acknowledge(self, batches: Sequence[EventBatch]) -> None:
        self._inner.acknowledge(batches)

    def close(self) -> None:
        self._inner.close()
