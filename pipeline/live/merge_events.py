"""The end of the streaming job: batches of events become rows, dead letters and registers, in that order of safety."""

import functools
from collections import Counter
from collections.abc import Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa

from modules.kernel.plan import named_sources
from modules.live import entities
from modules.spec import Declaration
from pipeline.dead_letters import DeadLetter, Reason, open_dead_letters
from pipeline.ingest.conform import conform
from pipeline.ingest.messages import write_messages
from pipeline.live import metrics
from pipeline.live.columns import event_columns
from pipeline.live.control import Control, Counts, control
from pipeline.live.merge import MergeResult, OnlineWriter
from pipeline.live.parse import Parsed, parse
from pipeline.live.place import Place
from pipeline.live.retry import patiently
from pipeline.sources.source import EventBatch


class MergeEvents(beam.DoFn):
    """Batches of events -> nothing; they are in the store, and what does not count is among the dead letters.

    First the rows are written, then the dead letters, then the partition's register moves. So whatever ends the process
    in between, what the register covers is merged, and the rest comes again and is recognised.
    """

    def __init__(self, job: str, declaration: Declaration, place: Place, dead_letters: str) -> None:
        self._job, self._declaration, self._place, self._dead_letters_url = job, declaration, place, dead_letters

    def setup(self) -> None:
        self._store = self._place.open()
        self._dead_letters = open_dead_letters(self._dead_letters_url)
        self._entities = entities(self._declaration)
        self._sources = named_sources(self._entities)
        self._types = {
            name: event_columns(self._declaration, source, self._entities) for name, source in self._sources.items()
        }
        self._writers: dict[tuple[str, int | None], OnlineWriter] = {}

    def teardown(self) -> None:
        self._store.close()
        self._dead_letters.close()

    def process(self, batch: EventBatch) -> Iterator[None]:
        told = control(self._job)
        with told.hearing():
            self._merge(batch, told)
        yield from ()

    def _merge(self, batch: EventBatch, told: Control, only: int | None = None) -> None:
        """Merges a batch. Its writer reads the registers only now that all partitions have one.

        Args:
          batch: It.
          told: What to tell of it.
          only: Into the rows of this entity alone, by its number among the source's.
        """
        writer = self._writers.get((batch.source, only))
        if writer is None:
            mine = [entity for entity in self._entities if entity.source.name == batch.source]
            chosen = mine if only is None else [mine[only]]
            open_writer = functools.partial(OnlineWriter, self._sources[batch.source], chosen, self._store)
            writer = self._writers[batch.source, only] = patiently(open_writer, told)
        letters = [
            DeadLetter(batch.source, "unparsable", broken.reason, broken.payload, None, broken.ingest)
            for broken in batch.broken
        ]
        read = len(batch.rows) + len(batch.broken)
        told.count(Counts(events=read))
        metrics.EVENTS.labels(batch.source).inc(read)
        if len(batch.rows):
            parsed = parse(self._sources[batch.source], self._types[batch.source], batch.rows, batch.ingest)
            result = patiently(lambda: writer.merge(parsed.events), told)
            lost = _closed(batch, parsed, result, writer.bootstrapped)
            letters += self._rejected(batch, parsed) + self._noticed(batch, parsed, result, lost)
            _count(batch, len(parsed.events) - len(lost), result, told)
        if letters:
            patiently(lambda: self._dead_letters.write(letters), told)
            for letter in letters:
                metrics.DEAD_LETTERS.labels(batch.source, letter.reason).inc()
            told.count(Counts(dead_letters=Counter(letter.reason for letter in letters)))
        patiently(lambda: writer.advance(batch.partition, batch.watermark, batch.position), told)
        metrics.watermark(batch.source, writer.watermark)
        told.merged.add(batch.source)
        metrics.READY.set(told.merged == self._sources.keys())

    def _rejected(self, batch: EventBatch, parsed: Parsed) -> list[DeadLetter]:
        return [
            letter
            for rejected in parsed.rejected
            for letter in self._letters(batch, rejected.reason, rejected.detail, rejected.rows)
        ]

    def _noticed(self, batch: EventBatch, parsed: Parsed, result: MergeResult, lost: np.ndarray) -> list[DeadLetter]:
        return [
            *self._letters(
                batch,
                "closed",
                "came to a closed slot: it counts already if it was delivered before, else it came later than the "
                "watermark said and does not count",
                parsed.rows[lost],
            ),
            *self._letters(
                batch, "conflict", "another event has this id and time; both count", parsed.rows[result.conflicts]
            ),
        ]

    def _letters(self, batch: EventBatch, reason: Reason, detail: str, rows: np.ndarray) -> list[DeadLetter]:
        if not len(rows):
            return []
        events = batch.rows.take(pa.array(rows))
        time = self._sources[batch.source].time
        times, _ = conform(events.column(time), self._types[batch.source][time], time)
        ingest = [None] * len(rows) if batch.ingest is None else batch.ingest[rows].tolist()
        payloads = write_messages(events) if batch.payloads is None else [batch.payloads[row] for row in rows.tolist()]
        return [
            DeadLetter(batch.source, reason, detail, payload, at, taken_in)
            for payload, at, taken_in in zip(payloads, times.to_pylist(), ingest, strict=True)
        ]


def _closed(batch: EventBatch, parsed: Parsed, result: MergeResult, bootstrapped: int) -> np.ndarray:
    """The events that came to closed slots, but for those that were ingested before the history ended: it held them."""
    closed = result.closed
    ingest = parsed.events.times[closed] if batch.ingest is None else batch.ingest[parsed.rows[closed]]
    return closed[ingest >= bootstrapped]


def _count(batch: EventBatch, merged: int, result: MergeResult, told: Control) -> None:
    told.count(Counts(merged=merged, duplicates=result.duplicates))
    metrics.MERGED.labels(batch.source).inc(merged)
    metrics.DUPLICATES.labels(batch.source).inc(result.duplicates)
    metrics.CONTENDED.labels(batch.source).inc(result.refused)
    sizes = metrics.ROW_BYTES.labels(batch.source)
    for size in result.sizes:
        sizes.observe(size)
