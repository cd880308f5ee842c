"""The end of the streaming job: batches of events become rows, dead letters and registers, in that order of safety."""

import functools
import json
from collections.abc import Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa

from modules.live import entities
from modules.spec import Declaration, TwinbeamError
from pipeline.dead_letters import DeadLetter, Reason, open_dead_letters
from pipeline.live import metrics
from pipeline.live.columns import event_columns
from pipeline.live.control import control
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
        spec = self._declaration
        self._store = self._place.open()
        self._dead_letters = open_dead_letters(self._dead_letters_url)
        declared = entities(spec)
        self._merged: set[str] = set()
        self._sources = {entity.source.name: entity.source for entity in declared}
        self._types = {name: event_columns(spec, source, declared) for name, source in self._sources.items()}
        self._writers = {
            name: patiently(functools.partial(OnlineWriter, source, declared, self._store))
            for name, source in self._sources.items()
        }

    def teardown(self) -> None:
        self._store.close()
        self._dead_letters.close()

    def process(self, batch: EventBatch) -> Iterator[None]:
        try:
            self._merge(batch)
        except TwinbeamError as error:
            control(self._job).error = error
            raise
        yield from ()

    def _merge(self, batch: EventBatch) -> None:
        counts = control(self._job).counts
        writer = self._writers[batch.source]
        letters = [
            DeadLetter(batch.source, "unparsable", broken.reason, broken.payload, None, broken.ingest)
            for broken in batch.broken
        ]
        if len(batch.rows):
            parsed = parse(self._sources[batch.source], self._types[batch.source], batch.rows, batch.ingest)
            result = patiently(lambda: writer.merge(parsed.events))
            letters += self._rejected(batch, parsed) + self._noticed(batch, parsed, result)
            _count(batch, parsed, result)
            counts.merged += len(parsed.events)
            counts.duplicates += result.duplicates
        read = len(batch.rows) + len(batch.broken)
        counts.events += read
        metrics.EVENTS.labels(batch.source).inc(read)
        if letters:
            patiently(lambda: self._dead_letters.write(letters))
            for letter in letters:
                metrics.DEAD_LETTERS.labels(batch.source, letter.reason).inc()
                counts.dead_letters[letter.reason] = counts.dead_letters.get(letter.reason, 0) + 1
        patiently(lambda: writer.advance(batch.partition, batch.watermark, batch.position))
        metrics.watermark(batch.source, writer.watermark)
        self._merged.add(batch.source)
        metrics.READY.set(self._merged == set(self._writers))

    def _rejected(self, batch: EventBatch, parsed: Parsed) -> list[DeadLetter]:
        return [
            letter
            for rejected in parsed.rejected
            for letter in _letters(batch, rejected.reason, rejected.detail, rejected.rows)
        ]

    def _noticed(self, batch: EventBatch, parsed: Parsed, result: MergeResult) -> list[DeadLetter]:
        return [
            *_letters(
                batch, "closed", "came to a closed slot: a redelivery, or later than the watermark said",
                parsed.rows[result.closed],
            ),
            *_letters(
                batch, "conflict", "another event has this id and time; both count", parsed.rows[result.conflicts]
            ),
        ]  # fmt: skip


def _letters(batch: EventBatch, reason: Reason, detail: str, rows: np.ndarray) -> list[DeadLetter]:
    return [
        DeadLetter(
            batch.source,
            reason,
            detail,
            _payload(batch, index),
            None,
            None if batch.ingest is None else int(batch.ingest[index]),
        )
        for index in rows.tolist()
    ]


def _payload(batch: EventBatch, index: int) -> bytes:
    """The event as it came; a recorded one as JSON."""
    if batch.payloads is not None:
        return batch.payloads[index]
    values = {name: batch.rows.column(name)[index] for name in batch.rows.schema.names}
    return json.dumps({name: _plain(value) for name, value in values.items()}).encode()


def _plain(value: pa.Scalar) -> object:
    plain = value.as_py()
    return plain if isinstance(plain, (bool, int, float, str, type(None))) else str(plain)


def _count(batch: EventBatch, parsed: Parsed, result: MergeResult) -> None:
    metrics.MERGED.labels(batch.source).inc(len(parsed.events))
    metrics.DUPLICATES.labels(batch.source).inc(result.duplicates)
    metrics.CONTENDED.labels(batch.source).inc(result.refused)
    sizes = metrics.ROW_BYTES.labels(batch.source)
    for size in result.sizes:
        sizes.observe(size)
