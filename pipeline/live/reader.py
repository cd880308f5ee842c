"""Answers "the features of this key at this time" from an online store."""

import dataclasses
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np

from modules.kernel import row
from modules.kernel.answer import Requests, answer
from modules.kernel.keys import code_keys
from modules.kernel.plan import Entity
from modules.kernel.take import Columns
from modules.kernel.window import NEVER, complete, slots_of
from modules.live import entities
from modules.spec import Declaration
from pipeline.live.place import Place
from pipeline.live.watermark import source_watermark
from pipeline.stores.store import OnlineStore, RowKey, Snapshot

KNOWN, EMPTY, UNKNOWN, TOO_OLD = range(4)
"""The value is computed from events; the key has a row, but nothing to compute it from; the key has no row; the request
is older than what the store still answers, and the value is not to be used."""


@dataclasses.dataclass(frozen=True)
class LiveValue:
    """One feature for each request; all arrays have the shape (requests,)."""

    values: np.ndarray
    """int64 or float64."""
    status: np.ndarray
    """int8: KNOWN, EMPTY, UNKNOWN or TOO_OLD."""
    complete: np.ndarray
    """bool: whether all events that count are merged, so that the value is that of a backfill."""


class FeatureReader:
    """Reads live features; one multi-get a call."""

    def __init__(self, declared: Sequence[Entity], store: OnlineStore) -> None:
        self._entities, self._store = tuple(declared), store

    @classmethod
    def open(cls, declaration: Declaration, url: str) -> Self:
        """A reader of a declaration's live features.

        Raises:
          InputError: The URL names no store.
        """
        return cls(entities(declaration), Place(url, declaration.features_fingerprint).open())

    def close(self) -> None:
        """Gives the store's connections back."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, columns: Columns, times: np.ndarray) -> dict[str, LiveValue]:
        """The live features of requests, by name.

        Args:
          columns: The columns of the keys, and those that features with `include_request` take in; each of shape
            (requests,), of type int64, float64, string or bool.
          times: int64, shape (requests,): microseconds.

        Raises:
          StoreUnavailable: The store is down or too slow.
        """
        coded = [code_keys([columns[name] for name in entity.key]) for entity in self._entities]
        rows = [
            RowKey(entity.name, key) for entity, (_, keys) in zip(self._entities, coded, strict=True) for key in keys
        ]
        snapshot = self._store.fetch(rows)
        found: dict[str, LiveValue] = {}
        first = 0
        for entity, (owners, keys) in zip(self._entities, coded, strict=True):
            stored = snapshot.rows[first : first + len(keys)]
            first += len(keys)
            found |= _answer(entity, owners, stored, columns, times, snapshot)
        return found


def _answer(
    entity: Entity,
    owners: np.ndarray,
    stored: Sequence[tuple[bytes, bytes] | None],
    columns: Columns,
    times: np.ndarray,
    snapshot: Snapshot,
) -> dict[str, LiveValue]:
    source = entity.source
    slots = slots_of(times, source.tick)
    cells, marks, floors = row.decode(entity, stored)
    watermark = source_watermark(source.name, snapshot.registers)
    known = np.array([parts is not None for parts in stored] + [False])[owners]  # -1, a null key, is the last
    refused = slots < np.maximum(np.append(floors, NEVER)[owners], snapshot.floors.get(source.name, NEVER))
    answers = answer(entity, cells, marks, Requests(np.where(refused, -1, owners), slots, columns))
    found = {}
    for feature in entity.features:
        given = answers[feature.name]
        status = np.where(given.empty, np.where(known, EMPTY, UNKNOWN), KNOWN).astype(np.int8)
        status[refused] = TOO_OLD
        whole = complete(feature.window.edges(slots)[1], watermark - source.slack, source.lateness, source.tick) | (
            owners < 0
        )
        found[feature.name] = LiveValue(given.values, status, whole & ~refused)
    return found
