"""Where online rows are: a store, and in it the namespace of one set of live features."""

import dataclasses

from pipeline.stores.store import OnlineStore
from pipeline.stores.urls import open_store


@dataclasses.dataclass(frozen=True)
class Place:
    """A namespace of a store; small, and can be pickled."""

    url: str
    namespace: str
    """`Declaration.features_fingerprint`, or a name of its own for rows that are only a trial."""

    def open(self) -> OnlineStore:
        """The store, not touched yet."""
        return open_store(self.url, self.namespace)
