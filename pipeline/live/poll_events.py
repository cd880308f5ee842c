"""A Beam source: polls partitions in batches, and acknowledges once the runner has committed what came of them."""

import dataclasses
import functools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io.iobase import RestrictionProgress, RestrictionTracker
from apache_beam.transforms.core import RestrictionProvider

from modules.kernel.window import NEVER
from pipeline.live.bootstrap import History
from pipeline.live.control import Control, control
from pipeline.live.logs import keep_to_log
from pipeline.live.place import Place
from pipeline.live.retry import patiently
from pipeline.sources.source import EventBatch, EventSource, Partition
from pipeline.stores.store import Register

_BUNDLE_S = 1.0
"""Seconds after which a bundle ends, so that it is committed and acknowledged."""
_RENEW_AFTER = 300
"""Bundles after which the source ends and the job starts it anew: the local runner keeps some 25 kB of each."""


class _MoreTracker(RestrictionTracker):
    """A restriction says only whether there is more to poll; how far a partition is, is in the store's registers.

    What is left of it when a bundle ends is the same restriction. Flink keeps it by the element and the restriction,
    and fails where it finds that another of its workers would have to.
    """

    def __init__(self, more: bool) -> None:
        self._more = more

    def current_restriction(self) -> bool:
        return self._more

    def current_progress(self) -> RestrictionProgress:
        return RestrictionProgress(completed=int(not self._more), remaining=int(self._more))

    def try_claim(self, position: bool) -> bool:
        """Claims the next poll; with False, that there is none."""
        self._more &= position
        return self._more

    def try_split(self, fraction_of_remainder: float) -> tuple[bool, bool] | None:
        if fraction_of_remainder or not self._more:
            return None
        self._more = False
        return False, True

    def check_done(self) -> bool:
        if self._more:
            raise ValueError("it ended without saying whether there is more to poll")
        return True

    def is_bounded(self) -> bool:
        return False


class _More(RestrictionProvider):
    def initial_restriction(self, element: int) -> bool:
        return True

    def create_tracker(self, restriction: bool) -> _MoreTracker:
        return _MoreTracker(restriction)

    def restriction_size(self, element: int, restriction: bool) -> int:
        return 1

    def truncate(self, element: int, restriction: bool) -> None:
        """What is left of the restriction when a job is drained: nothing."""
        return


_MORE = beam.DoFn.RestrictionParam(_More())


@dataclasses.dataclass
class _Bundle:
    """What there is to do once a bundle is committed."""

    given: list[tuple[Partition, EventBatch]] = dataclasses.field(default_factory=list)
    over: list[Partition] = dataclasses.field(default_factory=list)
    last: bool = False
    """Whether nothing more is polled by this worker."""


class PollEvents(beam.DoFn):
    """The number of a worker -> batches of events of its partitions, each partition in its own order.

    It has each `workers`-th partition of the sources. One is opened where the store's registers say that it is merged
    to, and stays open between bundles.
    """

    def __init__(
        self, job: str, place: Place, sources: Sequence[EventSource], batch_events: int, workers: int, renewed: bool
    ) -> None:
        self._job, self._place, self._sources, self._batch_events = job, place, sources, batch_events
        self._workers, self._renewed = workers, renewed

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
        worker: int,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = _MORE,
    ) -> Iterator[EventBatch]:
        told = control(self._job)
        with told.hearing():
            yield from self._poll(worker, told, finalizer, tracker)

    def _poll(self, worker: int, told: Control, finalizer: Any, tracker: Any) -> Iterator[EventBatch]:
        if worker not in self._open:
            self._open[worker] = patiently(lambda: self._open_all(worker), told)
        mine, bundle = self._open[worker], _Bundle()
        finalizer.register(lambda: _acknowledge(bundle, worker, told))
        self._bundles += 1
        until = time.monotonic() + _BUNDLE_S
        while tracker.try_claim(True):
            bundle.last = told.draining.is_set() or not mine
            if bundle.last or (self._renewed and self._bundles > _RENEW_AFTER):
                tracker.try_claim(False)
                return
            for partition in list(mine):
                batch = patiently(functools.partial(partition.poll, self._batch_events), told)
                if batch is None:
                    mine.remove(partition)
                    bundle.over.append(partition)
                else:
                    yield batch
                    bundle.given.append((partition, batch))
            if mine and time.monotonic() > until:
                tracker.defer_remainder()
                return

    def _open_all(self, worker: int) -> list[Partition]:
        with self._place.open() as store:
            for source in self._sources:
                if source.log is not None:
                    keep_to_log(store, source.name, source.log, history=isinstance(source, History))
            found = [(source, partition) for source in self._sources for partition in source.partitions()]
            entered = [
                Register(source.name, partition, NEVER, 0) for source, partition in found if source.log is not None
            ]
            store.advance(entered)  # before the first batch is merged: the watermark waits for all of them
            positions = {(r.source, r.partition): r.position for r in store.registers()}
        mine = found[worker :: self._workers]
        return [source.open(partition, positions.get((source.name, partition), 0)) for source, partition in mine]


def _acknowledge(bundle: _Bundle, worker: int, told: Control) -> None:
    with told.hearing():
        for partition in {id(partition): partition for partition, _ in bundle.given}.values():
            batches = [batch for whose, batch in bundle.given if whose is partition]
            patiently(functools.partial(partition.acknowledge, batches), told)
    for partition in bundle.over:  # not before: closing gives back what is not acknowledged
        partition.close()
    if bundle.last:
        told.finished.add(worker)
