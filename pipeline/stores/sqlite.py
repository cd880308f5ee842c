"""An online store in one SQLite file: for one machine, and any number of its threads and processes."""

import contextlib
import os
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from modules.spec import InputError
from modules.spec.errors import StoreUnavailable
from pipeline.stores.store import Change, OnlineStore, Register, RowKey, Snapshot, Stored, next_version

TIMEOUT = 5.0
"""Seconds for which a method waits for other writers."""
BATCH = 10_000
"""Rows that are removed in one transaction, so that writers need not wait long."""

_MEND = {
    sqlite3.SQLITE_BUSY: "Another process holds the lock; end it, or repeat later.",
    sqlite3.SQLITE_CANTOPEN: "Make the directory, and let this user write in it.",
    sqlite3.SQLITE_FULL: "Free space on the disk.",
    sqlite3.SQLITE_IOERR: "Look after the disk: it may be full, over a quota, or gone.",
    sqlite3.SQLITE_LOCKED: "Another process holds the lock; end it, or repeat later.",
    sqlite3.SQLITE_PERM: "Let this user write the file.",
    sqlite3.SQLITE_PROTOCOL: "Too many processes open it at once; repeat later.",
    sqlite3.SQLITE_READONLY: "Let this user write the file and in its directory.",
}

# What merges rewrite is in `row`, what they leave alone in `older`. Readers do not want `identities`, which come last:
# SQLite reads no more of a row's pages than it has to.
_TABLES = """
CREATE TABLE IF NOT EXISTS scope (
  id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, entity TEXT NOT NULL, UNIQUE (namespace, entity)
);
CREATE TABLE IF NOT EXISTS row (
  id INTEGER PRIMARY KEY, scope INTEGER NOT NULL, key BLOB NOT NULL, version INTEGER NOT NULL, expires INTEGER NOT NULL,
  recent BLOB NOT NULL, identities BLOB NOT NULL, UNIQUE (scope, key)
);
CREATE INDEX IF NOT EXISTS expiry ON row (scope, expires);
CREATE TABLE IF NOT EXISTS older (id INTEGER PRIMARY KEY, cells BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS register (
  namespace TEXT NOT NULL, source TEXT NOT NULL, partition TEXT NOT NULL, watermark INTEGER NOT NULL,
  position INTEGER NOT NULL, PRIMARY KEY (namespace, source, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS floor (
  namespace TEXT NOT NULL, source TEXT NOT NULL, slot INTEGER NOT NULL, PRIMARY KEY (namespace, source)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mark (
  namespace TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (namespace, name)
) WITHOUT ROWID;
"""
_READ = """
SELECT recent, identities, version FROM row
WHERE scope = (SELECT id FROM scope WHERE namespace = ?1 AND entity = ?2) AND key = ?3
"""
_READ_OLDER = """
SELECT cells FROM row JOIN older USING (id)
WHERE scope = (SELECT id FROM scope WHERE namespace = ?1 AND entity = ?2) AND key = ?3
"""
_FETCH = """
SELECT recent, ifnull(cells, x'') FROM row LEFT JOIN older USING (id)
WHERE scope = (SELECT id FROM scope WHERE namespace = ?1 AND entity = ?2) AND key = ?3
"""
_INSERT = """
INSERT INTO row (scope, key, version, expires, recent, identities)
VALUES ((SELECT id FROM scope WHERE namespace = ?1 AND entity = ?2), ?3, ?4, ?5, ?6, ?7)
ON CONFLICT DO NOTHING RETURNING id
"""
_UPDATE = """
UPDATE row SET version = ?4, expires = ?5, recent = ?6, identities = ?7
WHERE scope = (SELECT id FROM scope WHERE namespace = ?1 AND entity = ?2) AND key = ?3 AND version = ?4 - 1
RETURNING id
"""
_SWEEP = """
DELETE FROM row WHERE id IN (
  SELECT id FROM row WHERE scope = (SELECT id FROM scope WHERE namespace = ? AND entity = ?) AND expires < ? LIMIT ?
) RETURNING id
"""
_EMPTY = """
DELETE FROM row WHERE id IN (
  SELECT id FROM row WHERE scope IN (SELECT id FROM scope WHERE namespace = ?) LIMIT ?
) RETURNING id
"""
_REGISTERS = (
    "SELECT source, partition, watermark, position FROM register WHERE namespace = ? ORDER BY source, partition"
)
_FLOORS = "SELECT source, slot FROM floor WHERE namespace = ?"
_ADVANCE = """
INSERT INTO register (namespace, source, partition, watermark, position) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
SET watermark = max(watermark, excluded.watermark), position = max(position, excluded.position)
"""
_RAISE_FLOOR = """
INSERT INTO floor (namespace, source, slot) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET slot = max(slot, excluded.slot)
"""
_NAMESPACES = """
SELECT namespace FROM scope UNION SELECT namespace FROM register UNION SELECT namespace FROM floor
UNION SELECT namespace FROM mark ORDER BY namespace
"""
_SIZE = """
SELECT count(*), ifnull(sum(length(recent) + length(identities) + ifnull(length(cells), 0)), 0)
FROM row LEFT JOIN older USING (id) WHERE scope IN (SELECT id FROM scope WHERE namespace = ?)
"""


class SqliteStore(OnlineStore):
    """One namespace of a SQLite file.

    The file is made by the first method that writes; until then it reads as an empty one. It must be on a local disk.

    It is in WAL mode with `synchronous=FULL`, which flushes once a bundle: what a method has written when it returns
    outlives the process, however that is killed, and a power cut too, as far as the disk keeps what it says it has
    flushed. (NORMAL would spare the flush, and a power cut could take back the last bundles, whose events a broker need
    not give again.)
    """

    def __init__(self, path: str, namespace: str) -> None:
        """Touches nothing."""
        self._url = f"sqlite://{path}"
        self._path = Path(path).absolute()
        self._namespace = namespace
        self._idle: deque[sqlite3.Connection] = deque()

    def read(self, rows: Sequence[RowKey]) -> list[Stored | None]:
        """See `OnlineStore`."""
        with self._transaction() as connection:
            found = self._each(connection, _READ, rows)
        return [Stored(*stored) if stored else None for stored in found]

    def read_older(self, rows: Sequence[RowKey]) -> list[bytes]:
        """See `OnlineStore`."""
        with self._transaction() as connection:
            found = self._each(connection, _READ_OLDER, rows)
        return [older[0] if older else b"" for older in found]

    def write(self, changes: Sequence[Change]) -> list[int]:
        """See `OnlineStore`. All of it is one transaction."""
        refused = []
        with self._transaction(writes=True) as connection:
            for entity in {change.row.entity for change in changes}:
                connection.execute(
                    "INSERT OR IGNORE INTO scope (namespace, entity) VALUES (?, ?)", (self._namespace, entity)
                )
            for index, change in enumerate(changes):
                place = (self._namespace, change.row.entity, change.row.key)
                content = (next_version(change.expected), change.expires, change.recent, change.identities)
                written = connection.execute(_UPDATE if change.expected else _INSERT, place + content).fetchone()
                if written is None:
                    refused.append(index)
                elif change.older is not None:
                    connection.execute(
                        "INSERT OR REPLACE INTO older (id, cells) VALUES (?, ?)", (*written, change.older)
                    )
        return refused

    def fetch(self, rows: Sequence[RowKey]) -> Snapshot:
        """See `OnlineStore`. All of it is one snapshot."""
        with self._transaction() as connection:
            found = self._each(connection, _FETCH, rows)
            return Snapshot(found, self._registers(connection), dict(connection.execute(_FLOORS, (self._namespace,))))

    def registers(self) -> list[Register]:
        """See `OnlineStore`."""
        with self._transaction() as connection:
            return self._registers(connection)

    def advance(self, registers: Sequence[Register]) -> None:
        """See `OnlineStore`."""
        values = [(self._namespace, one.source, one.partition, one.watermark, one.position) for one in registers]
        with self._transaction(writes=True) as connection:
            connection.executemany(_ADVANCE, values)

    def raise_floor(self, source: str, slot: int) -> None:
        """See `OnlineStore`."""
        with self._transaction(writes=True) as connection:
            connection.execute(_RAISE_FLOOR, (self._namespace, source, slot))

    def sweep(self, entity: str, before: int) -> int:
        """See `OnlineStore`."""
        return self._remove(_SWEEP, self._namespace, entity, before)

    def marks(self) -> dict[str, str]:
        """See `OnlineStore`."""
        with self._transaction() as connection:
            return dict(connection.execute("SELECT name, value FROM mark WHERE namespace = ?", (self._namespace,)))

    def mark(self, name: str, value: str) -> None:
        """See `OnlineStore`."""
        with self._transaction(writes=True) as connection:
            connection.execute("INSERT OR REPLACE INTO mark VALUES (?, ?, ?)", (self._namespace, name, value))

    def size(self) -> tuple[int, int]:
        """See `OnlineStore`. It looks at each row."""
        with self._transaction() as connection:
            rows, size = connection.execute(_SIZE, (self._namespace,)).fetchone()
        return rows, size

    def namespaces(self) -> list[str]:
        """The names of all namespaces of the file, ascending."""
        with self._transaction() as connection:
            return [name for (name,) in connection.execute(_NAMESPACES)]

    def drop(self) -> None:
        """Removes all of the namespace. The file keeps its size, and uses the space again."""
        if not self._path.exists():
            return
        self._remove(_EMPTY, self._namespace)
        with self._transaction(writes=True) as connection:
            for table in ("scope", "register", "floor", "mark"):
                connection.execute(f"DELETE FROM {table} WHERE namespace = ?", (self._namespace,))  # noqa: S608

    def close(self) -> None:
        """See `OnlineStore`."""
        while self._idle:
            self._idle.pop().close()

    def _each(self, connection: sqlite3.Connection, query: str, rows: Sequence[RowKey]) -> list[Any]:
        namespace = self._namespace
        return [connection.execute(query, (namespace, row.entity, row.key)).fetchone() for row in rows]

    def _registers(self, connection: sqlite3.Connection) -> list[Register]:
        return [Register(*register) for register in connection.execute(_REGISTERS, (self._namespace,))]

    def _remove(self, query: str, *values: str | int) -> int:
        removed = 0
        while True:
            with self._transaction(writes=True) as connection:
                gone = connection.execute(query, (*values, BATCH)).fetchall()
                connection.executemany("DELETE FROM older WHERE id = ?", gone)
            removed += len(gone)
            if len(gone) < BATCH:
                return removed

    @contextlib.contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction: with a look at one moment, or as the only writer."""
        try:
            try:
                connection = self._idle.pop()
            except IndexError:
                if not writes and not self._path.exists():
                    with contextlib.closing(_connect(":memory:")) as empty:
                        yield empty
                    return
                connection = _connect(f"file://{quote(os.fsencode(self._path))}")
            try:
                _begin(connection, writes)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.close()  # which rolls back
                raise
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_NOTADB:
                raise InputError(f"{self._url}: this file is not a SQLite database. Name another one.") from None
            if code in _MEND:
                raise StoreUnavailable(f"{self._url}: {error}. {_MEND[code]}") from None
            raise
        self._idle.append(connection)


def _begin(connection: sqlite3.Connection, writes: bool) -> None:
    if not writes:
        connection.execute("BEGIN")
        return
    # SQLite serves waiting writers in no order and asks ten times a second at last, so that beside one that hardly ever
    # lets go, another could wait for ever: it is asked more often here.
    turn = Retrying(
        retry=retry_if_exception(lambda error: getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY),
        wait=wait_random(0, 0.005),
        stop=stop_after_delay(TIMEOUT),
        reraise=True,
    )
    connection.execute("PRAGMA busy_timeout = 0")
    turn(connection.execute, "BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA busy_timeout = {TIMEOUT * 1000:.0f}")


def _connect(uri: str) -> sqlite3.Connection:
    # Between BEGIN and COMMIT one thread has the connection; it need not be the one that opened it.
    connection = sqlite3.connect(uri, TIMEOUT, isolation_level=None, check_same_thread=False, uri=True)
    try:
        connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {_TABLES}")
    except BaseException:
        connection.close()
        raise
    return connection
