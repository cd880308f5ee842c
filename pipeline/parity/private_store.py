"""A fresh store for the rows that the gate streams, which nobody else sees."""

import contextlib
import dataclasses
import uuid
from collections.abc import Iterator
from pathlib import Path

from modules.spec import Declaration
from pipeline.live.place import Place
from pipeline.stores.urls import drop_namespace


@dataclasses.dataclass(frozen=True)
class PrivateStore:
    """A part of a store; as in any, the rows of each declaration stand under its fingerprint."""

    url: str
    name: str

    def place(self, declaration: Declaration) -> Place:
        """Where a declaration's rows are."""
        return Place(self.url, f"{self.name}-{declaration.features_fingerprint}")


@contextlib.contextmanager
def private_store(declaration: Declaration, scratch: Path) -> Iterator[PrivateStore]:
    """An empty part of `gate.store`, or of a SQLite file if there is none; it is removed at the end.

    Args:
      declaration: Whose rows it is for.
      scratch: A directory for the file; whoever calls removes it.

    Raises:
      InputError: `gate.store` names no store.
      StoreUnavailable: It cannot be reached.
    """
    store = PrivateStore(declaration.gate.store or f"sqlite://{scratch}/rows.db", f"gate-{uuid.uuid4().hex}")
    place = store.place(declaration)
    with place.open() as opened:
        opened.registers()  # a stream would wait for a store that is away
    try:
        yield store
    finally:
        drop_namespace(place.url, place.namespace)
