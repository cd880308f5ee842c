"""The streaming job where the runner brings the messages, as Dataflow does from Pub/Sub.

    messages ─► batches by (source, entity, shard of its keys) ─► merge ─► how far a source is merged ─► registers

Each entity's rows are split into shards by their keys, and a shard is merged by one worker at a time, so writers do not
meet. From a batch on, everything is the code of `MergeEvents`. Only how far a source is merged is known otherwise: the
runner's watermark passes a time once every message published before it is merged.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.metrics import Metrics
from apache_beam.transforms import trigger, window
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from modules.kernel.hashing import hash_columns
from modules.live import entities
from modules.spec import Declaration, Typed
from pipeline.ingest.conform import conform
from pipeline.ingest.messages import read_messages
from pipeline.live.control import Control
from pipeline.live.merge_events import MergeEvents
from pipeline.live.place import Place
from pipeline.live.retry import patiently
from pipeline.sources.pubsub import PubSub, published
from pipeline.sources.source import EARLIEST, Broken, EventBatch
from pipeline.stores.store import Register

Shard = tuple[str, int, int]
"""A source, an entity's number among the source's, and a shard of its keys."""
_WAIT_S = 1
"""Seconds for which a shard gathers batches."""
ADVANCE_EVERY_S = 5
"""Seconds between two looks at the runner's watermark."""


@dataclasses.dataclass(eq=False)
class MergeMessages(beam.PTransform):
    """(messages of a source, ticks), each at its own time -> nothing; the source's rows and register are up to date.

    A message's time is that of its publishing. Ticks are anything that comes every `ADVANCE_EVERY_S`, so that the
    register moves while there are no messages.
    """

    job: str
    name: str
    """The job's name on the runner; see `may_advance`."""
    source: PubSub
    declaration: Declaration
    place: Place
    dead_letters: str
    shards: int
    """Into how many parts each entity's keys are split: at most so many workers' threads merge at once."""
    batch_events: int
    """How many events are merged at once at most."""

    def expand(self, inputs: Any) -> beam.PCollection[None]:
        messages, ticks = inputs
        sharding = ShardMessages(self.source, self.declaration, self.shards, self.batch_events)
        gathering = beam.WindowInto(
            window.GlobalWindows(),
            trigger=trigger.Repeatedly(trigger.AfterProcessingTime(_WAIT_S)),
            accumulation_mode=trigger.AccumulationMode.DISCARDING,
            timestamp_combiner=window.TimestampCombiner.OUTPUT_AT_EARLIEST,  # holds the watermark until it is merged
        )
        merging = MergeShard(self.job, self.declaration, self.place, self.dead_letters, self.batch_events)
        merged = (
            messages
            | "Shard" >> beam.ParDo(sharding).with_output_types(tuple[Shard, EventBatch])
            | "Gather" >> gathering
            | "Shards" >> beam.GroupByKey()
            | "Merge" >> beam.ParDo(merging).with_output_types(str)
            | "Every" >> beam.WindowInto(window.FixedWindows(ADVANCE_EVERY_S))
        )
        name = self.source.name
        ticked = (
            ticks
            | "Tick" >> beam.Map(lambda _: name).with_output_types(str)
            | "EveryTick" >> beam.WindowInto(window.FixedWindows(ADVANCE_EVERY_S))
        )
        return (
            (merged, ticked)
            | "MergedOrTicked" >> beam.Flatten()
            | "BySource" >> beam.Map(lambda name: (name, None)).with_output_types(tuple[str, None])
            | "Passed" >> beam.GroupByKey()
            | "Advance" >> beam.ParDo(AdvanceRegister(self.job, self.name, self.place)).with_output_types(None)
        )


class ShardMessages(beam.DoFn):
    """Messages -> ((source, entity, shard), batch): each event once for every entity of the source."""

    def __init__(self, source: PubSub, declaration: Declaration, shards: int, at_once: int) -> None:
        self._source, self._declaration, self._shards, self._at_once = source, declaration, shards, at_once

    def setup(self) -> None:
        mine = [entity for entity in entities(self._declaration) if entity.source.name == self._source.name]
        self._keys = [entity.key for entity in mine]

    def start_bundle(self) -> None:
        self._payloads: list[bytes] = []
        self._ingest: list[int] = []

    def process(
        self, message: PubsubMessage, timestamp: Any = beam.DoFn.TimestampParam
    ) -> Iterator[window.TimestampedValue]:
        self._payloads.append(message.data)
        self._ingest.append(timestamp.micros if message.publish_time is None else published(message))
        if len(self._payloads) == self._at_once:
            for at, element in self._parts():
                yield window.TimestampedValue(element, at)
            self.start_bundle()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for at, element in self._parts():
            yield WindowedValue(element, at, (window.GlobalWindow(),))

    def _parts(self) -> Iterator[tuple[Timestamp, tuple[Shard, EventBatch]]]:
        """The gathered messages as batches, each with the time of its first message."""
        if not self._payloads:
            return
        rows, good, lost = read_messages(self._payloads, self._source.columns)
        ingest = np.array(self._ingest, np.int64)
        broken = tuple(Broken(self._payloads[index], reason, self._ingest[index]) for index, reason in lost)
        whole = _batch(self._source, rows, ingest[good], [self._payloads[index] for index in good.tolist()], ())
        for number, key in enumerate(self._keys):
            for shard, part in _split(whole, _shards(rows, key, self._source.columns, self._shards)):
                yield _first(part), ((self._source.name, number, shard), part)
        if broken:
            part = _batch(self._source, rows[:0], ingest[:0], [], broken)
            yield _first(part), ((self._source.name, 0, 0), part)


class MergeShard(MergeEvents):
    """((source, entity, shard), batches) -> the source's name, once they are merged into the rows of that entity.

    What an event is refused for is reported with the source's first entity.
    """

    def __init__(self, job: str, declaration: Declaration, place: Place, dead_letters: str, batch_events: int) -> None:
        super().__init__(job, declaration, place, dead_letters)
        self._most = batch_events

    def process(self, element: tuple[Shard, Iterable[EventBatch]]) -> Iterator[str]:  # type: ignore[override]
        (source, number, _), batches = element
        told = Control()
        for batch in _joined(batches, self._most):
            self._merge(batch, told, number)
        counts = {"events": told.counts.events, "merged": told.counts.merged, "duplicates": told.counts.duplicates}
        letters = {f"dead_letters_{reason}": count for reason, count in told.counts.dead_letters.items()}
        for name, count in (counts | letters).items():
            Metrics.counter(source, name).inc(count)
        yield source


class AdvanceRegister(beam.DoFn):
    """(source, ...) in a window that the watermark has passed -> nothing; everything before the window's end is merged.

    A runner that drains a job lets its watermark pass all time, merged or not. So a job moves registers only as long as
    the store says that it may.
    """

    def __init__(self, job: str, name: str, place: Place) -> None:
        self._job, self._name, self._place = job, name, place

    def setup(self) -> None:
        self._store = self._place.open()

    def teardown(self) -> None:
        self._store.close()

    def process(self, element: tuple[str, Iterable[None]], passed: Any = beam.DoFn.WindowParam) -> Iterator[None]:
        (partition,) = PubSub.PARTITIONS
        register = Register(element[0], partition, passed.end.micros, 0)

        def advance() -> None:
            if self._store.marks().get(may_advance(self._name)) == self._job:
                self._store.advance([register])

        patiently(advance)
        yield from ()


def may_advance(name: str) -> str:
    """The mark that says which job of this name moves registers; empty once it is drained."""
    return f"dataflow/{name}"


def _batch(
    source: PubSub, rows: pa.RecordBatch, ingest: np.ndarray, payloads: Sequence[bytes], broken: tuple[Broken, ...]
) -> EventBatch:
    (partition,) = PubSub.PARTITIONS
    return EventBatch(
        source=source.name, partition=partition, rows=rows, ingest=ingest, payloads=tuple(payloads), broken=broken,
        watermark=EARLIEST, position=0,
    )  # fmt: skip


def _shards(rows: pa.RecordBatch, key: Sequence[str], columns: dict[str, Typed], shards: int) -> np.ndarray:
    """The shard of each row: by the key's values as they are declared, however they were written."""
    hashes = hash_columns([conform(rows.column(name), columns[name], name)[0] for name in key])[0]
    return (hashes.view(np.uint64) % np.uint64(shards)).astype(np.int64)


def _split(whole: EventBatch, shards: np.ndarray) -> Iterator[tuple[int, EventBatch]]:
    assert whole.ingest is not None
    assert whole.payloads is not None
    for shard in np.unique(shards).tolist():
        at = np.flatnonzero(shards == shard)
        payloads = tuple(whole.payloads[index] for index in at.tolist())
        yield (
            shard,
            dataclasses.replace(whole, rows=whole.rows.take(pa.array(at)), ingest=whole.ingest[at], payloads=payloads),
        )


def _first(part: EventBatch) -> Timestamp:
    assert part.ingest is not None
    return Timestamp(micros=min([*part.ingest.tolist(), *(broken.ingest for broken in part.broken)]))


def _joined(batches: Iterable[EventBatch], most: int) -> Iterator[EventBatch]:
    """Batches put together where they have the same types, up to so many events."""
    waiting: dict[str, list[EventBatch]] = {}
    for batch in batches:
        same = waiting.setdefault(str(batch.rows.schema), [])
        if same and sum(len(each.rows) for each in same) + len(batch.rows) > most:
            yield _join(same)
            same.clear()
        same.append(batch)
    yield from (_join(same) for same in waiting.values())


def _join(same: list[EventBatch]) -> EventBatch:
    table = pa.Table.from_batches([batch.rows for batch in same]).combine_chunks().to_batches()
    return dataclasses.replace(
        same[0],
        rows=table[0] if table else same[0].rows,
        ingest=np.concatenate([batch.ingest for batch in same if batch.ingest is not None]),
        payloads=tuple(payload for batch in same for payload in batch.payloads or ()),
        broken=tuple(broken for batch in same for broken in batch.broken),
    )
