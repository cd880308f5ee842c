"""A source of batches that a test has made."""

import dataclasses
import json
from collections.abc import Sequence

import numpy as np

from modules.live import entities
from modules.spec import Declaration
from pipeline.ingest.messages import read_messages
from pipeline.live.columns import event_columns
from pipeline.sources.source import EventBatch, Partition
from tests.pipeline.live.rides import Event


@dataclasses.dataclass(frozen=True)
class Given:
    """An `EventSource` with one partition, which ends."""

    name: str
    batches: tuple[EventBatch, ...]
    log: str = "given"

    def partitions(self) -> list[str]:
        return ["one"]

    def open(self, partition: str, position: int) -> Partition:
        return _Batches([each for each in self.batches if each.position > position])


class _Batches(Partition):
    def __init__(self, left: list[EventBatch]) -> None:
        self._left = left

    def poll(self, max_events: int) -> EventBatch | None:
        return self._left.pop(0) if self._left else None

    def acknowledge(self, batches: Sequence[EventBatch]) -> None:
        pass

    def close(self) -> None:
        pass


def batch(declaration: Declaration, events: Sequence[Event], watermark: int, position: int = 1) -> EventBatch:
    """Rides as a broker gives them."""
    kinds = entities(declaration)
    (source,) = {entity.source for entity in kinds if entity.source.name == "rides"}
    payloads = tuple(json.dumps(event).encode() for event in events)
    rows, _, _ = read_messages(payloads, event_columns(declaration, source, kinds))
    ingest = np.array([event["taken_in"] for event in events], np.int64)
    return EventBatch("rides", "one", rows, ingest, payloads, (), watermark, position)
