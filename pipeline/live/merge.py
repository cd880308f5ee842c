"""Merges events into the rows of an online store: read, merge, fold, write; again, if someone else wrote in between."""

import dataclasses
import time
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from modules.kernel import row
from modules.kernel.keys import code_keys
from modules.kernel.plan import Entity, Source
from modules.kernel.take import Events
from modules.kernel.window import NEVER, slots_of
from pipeline.live.watermark import HISTORY, source_watermark
from pipeline.stores.store import Change, OnlineStore, Register, RowKey

_ROWS_AT_ONCE = 4096
_SWEEP_EVERY = 256
"""Batches between two looks for rows that have expired."""
_LOOK_EVERY_S = 5.0
"""Seconds after which the registers that others move are read anew."""


@dataclasses.dataclass(frozen=True)
class MergeResult:
    """What became of a batch's events, over all entities of its source."""

    closed: np.ndarray
    """int64: the events that came to a closed slot of any row; where they were redelivered, they count already."""
    conflicts: np.ndarray
    """int64: the events whose id was there with other content; they count too."""
    duplicates: int
    """How often an event was there already."""
    refused: int
    """How often a row was changed by someone else in between, and read again."""
    sizes: list[int]
    """Bytes of what was written of each row."""


class OnlineWriter:
    """The one way into an online store. One writer serves one source; several may write the same rows at once."""

    def __init__(self, source: Source, entities: Sequence[Entity], store: OnlineStore) -> None:
        self._source = source
        self._entities = [entity for entity in entities if entity.source.name == source.name]
        self._store = store
        self._look()
        self._floor = NEVER
        self._batches = 0

    @property
    def watermark(self) -> int:
        """Ingest time in microseconds: everything that the source was given before it is merged."""
        return source_watermark(self._source.name, self._registers.values())

    @property
    def bootstrapped(self) -> int:
        """Ingest time in microseconds: everything ingested before it was merged from the history; NEVER without one."""
        history = self._registers.get(HISTORY)
        return history.watermark if history else NEVER

    def _look(self) -> None:
        self._registers = {r.partition: r for r in self._store.registers() if r.source == self._source.name}
        self._looked = time.monotonic()

    def advance(self, partition: str, watermark: int, position: int) -> None:
        """Notes that everything up to a position, and everything ingested before a watermark, is merged.

        A partition without a register when this writer was made says nothing of how far its source is merged.
        """
        known = self._registers.get(partition)
        if known is not None and (watermark > known.watermark or position > known.position):
            moved = Register(known.source, partition, max(watermark, known.watermark), max(position, known.position))
            self._store.advance([moved])
            self._registers[partition] = moved

    def merge(self, events: Events) -> MergeResult:
        """Merges events that count; when it returns, they are in the store.

        Raises:
          StoreUnavailable: The store is down, slow or full; some rows may hold the events: merge them again.
        """
        if time.monotonic() > self._looked + _LOOK_EVERY_S:
            self._look()
        watermark = self.watermark
        floor = NEVER
        if watermark > NEVER:
            floor = int(slots_of(np.array([watermark]), self._source.tick)[0]) - self._source.lookback
        if floor > self._floor:
            self._store.raise_floor(self._source.name, floor)
            self._floor = floor
        tally = _Tally()
        for entity in self._entities:
            owners, keys = code_keys([events.columns[name] for name in entity.key])
            for first in range(0, len(keys), _ROWS_AT_ONCE):
                at = np.flatnonzero((owners >= first) & (owners < first + _ROWS_AT_ONCE))
                rows = [RowKey(entity.name, key) for key in keys[first : first + _ROWS_AT_ONCE]]
                self._merge_rows(entity, rows, events, at, owners[at] - first, tally)
        self._batches += 1
        if self._batches % _SWEEP_EVERY == 0 and floor > NEVER:
            for entity in self._entities:
                self._store.sweep(entity.name, floor)
        return tally.result()

    def _merge_rows(
        self, entity: Entity, rows: list[RowKey], events: Events, at: np.ndarray, owners: np.ndarray, tally: "_Tally"
    ) -> None:
        """Merges the events `at`, each of which belongs to one of the rows, until nobody else wrote in between."""
        while rows:
            stored = self._store.read(rows)
            parts = [None if each is None else (each.recent, each.identities) for each in stored]
            merged = row.merge(entity, parts, _subset(events, at), owners, self.watermark)
            due = row.due(merged.rows) if self._floor > NEVER else _NONE
            older = self._store.read_older([rows[index] for index in due.tolist()]) if len(due) else []
            folded, new_older = row.fold(entity, merged.rows, due, older, self._floor)
            encoded = row.encode(entity, folded, dict(zip(due.tolist(), new_older, strict=True)))
            again = self._store.write(
                [
                    Change(key, before.version if before else 0, new.recent, new.identities, new.older, new.expires)
                    for key, before, new in zip(rows, stored, encoded, strict=True)
                ]
            )
            repeat = np.isin(owners, again)
            tally.add(merged, at, ~repeat, encoded, len(again))
            rows = [rows[index] for index in again]
            at, owners = at[repeat], np.searchsorted(again, owners[repeat])


class _Tally:
    """Adds up what became of events."""

    def __init__(self) -> None:
        self._closed, self._conflicts, self._sizes = [_NONE], [_NONE], list[int]()
        self._duplicates = self._refused = 0

    def add(
        self, merged: row.Merged, at: np.ndarray, written: np.ndarray, encoded: list[row.Encoded], refused: int
    ) -> None:
        self._closed.append(at[written & (merged.outcomes == row.CLOSED)])
        self._conflicts.append(at[np.intersect1d(merged.conflicts, np.flatnonzero(written))])
        self._duplicates += int((written & (merged.outcomes == row.DUPLICATE)).sum())
        self._refused += refused
        self._sizes += [len(new.recent) + len(new.identities) + len(new.older or b"") for new in encoded]

    def result(self) -> MergeResult:
        return MergeResult(
            np.unique(np.concatenate(self._closed)),
            np.unique(np.concatenate(self._conflicts)),
            self._duplicates,
            self._refused,
            self._sizes,
        )


_NONE = np.empty(0, np.int64)


def _subset(events: Events, at: np.ndarray) -> Events:
    indexes = pa.array(at)
    return Events(
        {name: column.take(indexes) for name, column in events.columns.items()},
        events.times[at],
        events.slots[at],
        events.ids[:, at],
    )
