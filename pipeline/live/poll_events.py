"""A Beam source: polls partitions in batches, and acknowledges once the runner has committed what came of them."""

import dataclasses
import functools
import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.transforms.core import RestrictionProvider

from modules.kernel.window import NEVER
from pipeline.dead_letters import ReplayedLetters
from pipeline.live.control import Control, control
from pipeline.live.place import Place
from pipeline.live.retry import patiently
from pipeline.sources.source import EventBatch, EventSource, Partition
from pipeline.stores.store import Register

_END = 2**62
_BUNDLE_S = 1.0
"""Seconds after which a bundle ends, so that it is committed and acknowledged."""
_RENEW_AFTER = 300
"""Bundles after which the source ends and the job starts it anew: the local runner keeps some 25 kB of each."""


class _Polls(RestrictionProvider):
    """Polls are numbered; the restriction is the range of numbers."""

    def initial_restriction(self, element: Any) -> OffsetRange:
        return OffsetRange(0, _END)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, element: Any, restriction: OffsetRange) -> int:
        return 1

    def truncate(self, element: Any, restriction: OffsetRange) -> None:
        """What is left of the restriction when a job is drained: nothing."""
        return


_POLLS = beam.DoFn.RestrictionParam(_Polls())


@dataclasses.dataclass(frozen=True)
class Share:
    """Those partitions of the sources that one worker polls: each `of`-th, from `number` on."""

    sources: tuple[EventSource, ...]
    number: int
    of: int


class PollEvents(beam.DoFn):
    """Shares -> batches of their events, each partition in its own order.

    A partition is opened where the store's registers say that it is merged to, and stays open between bundles.
    """

    def __init__(self, job: str, place: Place, batch_events: int, renewed: bool) -> None:
        self._job, self._place, self._batch_events, self._renewed = job, place, batch_events, renewed

    def setup(self) -> None:
        self._open: dict[int, list[Partition]] = {}
        self._bundles = 0

    def teardown(self) -> None:
        for partitions in self._open.values():
            for partition in partitions:
                partition.close()

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        share: Share,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = _POLLS,
    ) -> Iterator[EventBatch]:
        told = control(self._job)
        with told.hearing():
            yield from self._poll(share, told, finalizer, tracker)

    def _poll(self, share: Share, told: Control, finalizer: Any, tracker: Any) -> Iterator[EventBatch]:
        if share.number not in self._open:
            self._open[share.number] = patiently(lambda: self._open_all(share), told.draining)
        mine = self._open[share.number]
        given: list[tuple[Partition, EventBatch]] = []
        over: list[Partition] = []
        finalizer.register(lambda: _acknowledge(given, over, told))
        self._bundles += 1
        number, until = tracker.current_restriction().start, time.monotonic() + _BUNDLE_S
        while tracker.try_claim(number):
            if told.draining.is_set() or not mine or (self._renewed and self._bundles > _RENEW_AFTER):
                tracker.try_claim(_END)
                return
            number += 1
            for partition in list(mine):
                batch = patiently(functools.partial(partition.poll, self._batch_events), told.draining)
                if batch is None:
                    mine.remove(partition)
                    over.append(partition)
                else:
                    yield batch
                    given.append((partition, batch))
            told.ended = not mine
            if mine and time.monotonic() > until:
                tracker.defer_remainder()
                return

    def _open_all(self, share: Share) -> list[Partition]:
        found = [(source, partition) for source in share.sources for partition in source.partitions()]
        entered = [
            Register(source.name, partition, NEVER, 0)
            for source, partition in found
            if not isinstance(source, ReplayedLetters)  # which says nothing of how far its source is merged
        ]
        with self._place.open() as store:
            store.advance(entered)  # before the first batch is merged: the watermark waits for all of them
            positions = {(r.source, r.partition): r.position for r in store.registers()}
        mine = found[share.number :: share.of]
        return [source.open(partition, positions.get((source.name, partition), 0)) for source, partition in mine]


def _acknowledge(given: list[tuple[Partition, EventBatch]], over: list[Partition], told: Control) -> None:
    with told.hearing():
        for partition in {id(partition): partition for partition, _ in given}.values():
            batches = [batch for whose, batch in given if whose is partition]
            patiently(functools.partial(partition.acknowledge, batches), told.draining)
    for partition in over:  # not before: closing gives back what is not acknowledged
        partition.close()
