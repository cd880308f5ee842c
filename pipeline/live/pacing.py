"""Sources that stop together at given ingest times, so that what is merged by then can be read before they go on."""

import dataclasses
import threading
from collections.abc import Callable, Sequence

import pyarrow as pa

from modules.kernel.window import NEVER
from pipeline.sources.recorded import Recorded, RecordedPartition
from pipeline.sources.source import EventBatch, Partition


class Pacer:
    """The pauses of one replay, in this process."""

    def __init__(self, pauses: Sequence[int], partitions: int, reached: Callable[[int], None]) -> None:
        """A pacer of `partitions` partitions.

        Args:
          pauses: Ingest times in microseconds, ascending.
          partitions: How many stop at each.
          reached: Called once everything ingested before a pause is merged; again, if it raised `StoreUnavailable`.
        """
        self._pauses, self._partitions, self._reached = list(pauses), partitions, reached
        self._at = 0
        self._arriving = threading.Lock()
        self._arrived: set[tuple[str, str]] = set()

    @property
    def pause(self) -> int | None:
        """The next pause; None after the last."""
        return self._pauses[self._at] if self._at < len(self._pauses) else None

    def arrive(self, source: str, partition: str, pause: int) -> None:
        """A partition has given everything before a pause, and it is merged. Workers may say so at once."""
        with self._arriving:
            if pause != self.pause:
                return  # all have arrived meanwhile
            self._arrived.add((source, partition))
            if len(self._arrived) == self._partitions:
                self._reached(pause)
                self._arrived.clear()
                self._at += 1


_PACERS: dict[str, Pacer] = {}
_NO_ROWS = pa.RecordBatch.from_arrays([], [])


def pace(name: str, pacer: Pacer | None) -> None:
    """Makes a pacer known to the sources that carry its name; None takes it away."""
    if pacer is None:
        _PACERS.pop(name, None)
    else:
        _PACERS[name] = pacer


@dataclasses.dataclass(frozen=True)
class Paced:
    """An `EventSource` of recorded events that stops at a pacer's pauses, and ends after the last."""

    name: str
    """The source's name in the declaration."""
    recorded: tuple[Recorded, ...]
    """Its events; each of these becomes a partition of its own."""
    pacer: str
    """The pacer's name, for a source is pickled."""

    @property
    def log(self) -> str:
        """Its files."""
        return ", ".join(recorded.log for recorded in self.recorded)

    def partitions(self) -> list[str]:
        """Numbers from 0."""
        return [str(number) for number in range(len(self.recorded))]

    def open(self, partition: str, position: int) -> Partition:
        """Opens a partition after the first `position` events."""
        (own,) = self.recorded[int(partition)].partitions()
        return _PacedPartition(self, partition, self.recorded[int(partition)].open(own, position), position)


class _PacedPartition(Partition):
    def __init__(self, source: Paced, partition: str, inner: RecordedPartition, position: int) -> None:
        self._source, self._partition, self._inner, self._position = source, partition, inner, position
        self._given = NEVER
        """The pause up to which everything was given."""

    def poll(self, max_events: int) -> EventBatch | None:
        pacer = _PACERS[self._source.pacer]
        pause = pacer.pause
        if pause is None:
            return None
        if self._given == pause:  # polled again: what was given is merged
            pacer.arrive(self._source.name, self._partition, pause)
            return self._nothing(pause)
        self._inner.pause_at(pause)
        batch = self._inner.poll(max_events)
        if batch is None or batch.watermark >= pause:
            self._given = pause
        if batch is None:
            return self._nothing(pause)
        self._position = batch.position
        return dataclasses.replace(batch, partition=self._partition)

    def _nothing(self, watermark: int) -> EventBatch:
        return EventBatch(
            source=self._source.name, partition=self._partition, rows=_NO_ROWS, ingest=None, payloads=None, broken=(),
            watermark=watermark, position=self._position,
        )  # fmt: skip

    def acknowledge(self, batches: Sequence[EventBatch]) -> None:
        self._inner.acknowledge(batches)

    def close(self) -> None:
        self._inner.close()
