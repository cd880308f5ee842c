"""Rows as the kernel reads them, kept by the bytes in the store: they are read far more often than they change."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from modules.kernel import row
from modules.kernel.cells import Owned
from modules.kernel.plan import Entity

MOST_BYTES = 16 << 20
"""Of the rows that are kept, as they are stored; decoded, and added up, they take a few times as much."""
_OVERHEAD = 4096

Stored = tuple[bytes, bytes] | None


class Decoded(NamedTuple):
    """Rows of one entity, and after them one that is not there; the n-th is the owner n."""

    cells: Owned
    marks: Owned
    floors: np.ndarray
    """int64, shape (rows + 1,): the slot below which requests are refused."""
    known: np.ndarray
    """bool, shape (rows + 1,): whether there is a row."""


class DecodedRows:
    """Decodes rows. Threads may share it."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Keeps nothing yet.

        Args:
          most_bytes: Of what is kept; beyond, what was not asked for longest goes.
        """
        self._most_bytes, self._bytes = most_bytes, 0
        self._kept: OrderedDict[tuple[str, Stored], Decoded] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, entity: Entity, stored: Sequence[Stored]) -> Decoded:
        """The rows, in that order; a row by itself is kept.

        Args:
          entity: Whose rows.
          stored: `recent` and `older` of each; None where there is none.
        """
        if len(stored) != 1:
            return _decoded(entity, stored)
        key = entity.name, stored[0]
        with self._lock:
            if found := self._kept.get(key):
                self._kept.move_to_end(key)
                return found
        found = _decoded(entity, stored)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = found
                self._bytes += _size(stored[0])
            while self._bytes > self._most_bytes:
                (_, oldest), _ = self._kept.popitem(last=False)
                self._bytes -= _size(oldest)
        return found


def _decoded(entity: Entity, stored: Sequence[Stored]) -> Decoded:
    every = [*stored, None]
    return Decoded(*row.decode(entity, every), np.array([parts is not None for parts in every]))


def _size(stored: Stored) -> int:
    return _OVERHEAD + (0 if stored is None else len(stored[0]) + len(stored[1]))
