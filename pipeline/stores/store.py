"""What an online store does: it keeps rows of bytes by entity key, changes one only if nobody else did, and registers.

A store knows nothing of features. It is opened for one namespace, the fingerprint of the live features, so that the
rows of two declarations lie side by side. What is in a row is the kernel's business (`modules/kernel/row.py`).
"""

import dataclasses
import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self


@dataclasses.dataclass(frozen=True)
class RowKey:
    """Where a row is."""

    entity: str
    """The source and the key's columns, such as `trips/pickup_community_area`."""
    key: bytes
    """The key's values, encoded by the kernel."""


@dataclasses.dataclass(frozen=True)
class Stored:
    """What a merge needs of a row."""

    recent: bytes
    """The cells that merges change."""
    identities: bytes
    """The identities of the events in open slots; readers never fetch them."""
    version: int
    """Grows by one with each change of the row; the first is drawn at random, see `next_version`."""


@dataclasses.dataclass(frozen=True)
class Change:
    """A row's new content, to be written if its version is still the expected one."""

    row: RowKey
    expected: int
    """The version that was read; 0: there was no such row."""
    recent: bytes
    identities: bytes
    older: bytes | None
    """The cells that merges leave alone; None keeps what is there (nothing, in a new row)."""
    expires: int
    """The slot from which on no answer needs the row."""


@dataclasses.dataclass(frozen=True)
class Register:
    """How far a partition of a source is merged into the rows."""

    source: str
    partition: str
    watermark: int
    """Ingest time in microseconds: everything that the partition was given before it is merged."""
    position: int
    """How many of the partition's events are merged, where its source counts them; else 0."""


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What a reader needs, in one consistent look: `registers` are no younger than the rows, `floors` no older."""

    rows: list[tuple[bytes, bytes] | None]
    """`recent` and `older` of each row asked for, in that order; None: there is no such row."""
    registers: list[Register]
    floors: dict[str, int]
    """By source, the slot R from which on requests are answered; see `raise_floor`."""


def next_version(expected: int) -> int:
    """The version of a row once it is changed.

    A new row starts at a random one. Were it 1 each time, a writer that has read a row which is swept and made anew
    before it writes could find the version that it expects, and overwrite what it has not seen.
    """
    return expected + 1 if expected else 1 + secrets.randbits(52)


class OnlineStore(Protocol):
    """Rows and registers of one namespace. Methods may be called by several threads; processes may share a store.

    A store that is down or slow makes every method raise `StoreUnavailable`, after nothing or all of a single row's
    change was done; the caller repeats.
    """

    def read(self, rows: Sequence[RowKey]) -> list[Stored | None]:
        """What a merge needs of each row, in that order; None: there is no such row."""
        ...

    def read_older(self, rows: Sequence[RowKey]) -> list[bytes]:
        """The older cells of each row, in that order; empty where there are none."""
        ...

    def write(self, changes: Sequence[Change]) -> list[int]:
        """Writes each change whose row still has the expected version, each row at once or not at all.

        Args:
          changes: At most one of each row.

        Returns:
          The indexes of the changes that were refused, ascending.
        """
        ...

    def fetch(self, rows: Sequence[RowKey]) -> Snapshot:
        """What a reader needs: one multi-get."""
        ...

    def registers(self) -> list[Register]:
        """All registers, by source and partition."""
        ...

    def advance(self, registers: Sequence[Register]) -> None:
        """Moves registers forward: of the stored and the given watermark and position each the greater stays."""
        ...

    def raise_floor(self, source: str, slot: int) -> None:
        """Says that requests of slots below are refused from now on; it only moves forward."""
        ...

    def sweep(self, entity: str, before: int) -> int:
        """Removes the rows of an entity that expire before a slot; gives how many."""
        ...

    def marks(self) -> dict[str, str]:
        """Facts about the namespace, such as that a bootstrap is done, by name."""
        ...

    def mark(self, name: str, value: str) -> None:
        """Notes a fact about the namespace."""
        ...

    def size(self) -> tuple[int, int]:
        """How many rows the namespace has, and the bytes of their content."""
        ...

    def close(self) -> None:
        """Gives connections back."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
