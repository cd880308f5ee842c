"""Rows to write."""

from pipeline.stores.store import Change, OnlineStore, RowKey


def row(key: bytes | str, entity: str = "trips/area") -> RowKey:
    """A row's place."""
    return RowKey(entity, key.encode() if isinstance(key, str) else key)


def change(
    place: RowKey, expected: int = 0, recent: bytes = b"recent", older: bytes | None = None, expires: int = 100
) -> Change:
    """A row's new content, of which tests mostly look at one part."""
    return Change(place, expected, recent, b"identities of " + recent, older, expires)


def add(store: OnlineStore, places: list[RowKey]) -> None:
    """Adds one to the number in each row, and repeats what is refused."""
    while places:
        found = store.read(places)
        changes = [
            change(place, one.version if one else 0, b"%d" % (int(one.recent if one else b"0") + 1), older=b"o")
            for place, one in zip(places, found, strict=True)
        ]
        places = [places[index] for index in store.write(changes)]
