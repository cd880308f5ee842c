"""An online store in Redis 7 or later: for any number of machines, held in the memory of one server.

What outlives a crash of the server is up to its settings (`appendonly`, `appendfsync`); what outlives a failover is
what the replica had. Rows and registers go back together then, to one earlier moment.
"""

import contextlib
import dataclasses
import functools
import hashlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.exceptions import NoPermissionError, NoScriptError, OutOfMemoryError
from redis.retry import Retry

from modules.spec.errors import StoreUnavailable
from pipeline.stores import progress
from pipeline.stores.store import Change, OnlineStore, Register, RowKey, Snapshot, Stored, next_version

TIMEOUT = 2.0
"""Seconds for which the server may be silent."""
BATCH = 1_000
"""Rows that are removed or measured in one go, so that the server is not held up for long."""

_NAMESPACES = "twinbeam/namespaces"
# KEYS: a row, the expiries of its entity. ARGV: the expected version, the new one, recent, identities, the expiry, the
# row's key, and older where it is to be replaced.
_WRITE = """
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'recent', ARGV[3], 'identities', ARGV[4])
if ARGV[7] then redis.call('HSET', KEYS[1], 'older', ARGV[7]) end
redis.call('ZADD', KEYS[2], ARGV[5], ARGV[6])
return 1
"""
# KEYS: the progress, rows. One text for all of the progress, because the client takes long to read many.
_FETCH = """
local found = {table.concat(redis.call('HGETALL', KEYS[1]), ' ')}
for i = 2, #KEYS do found[i] = redis.call('HMGET', KEYS[i], 'recent', 'older') end
return found
"""
# KEYS: the progress. ARGV: names and numbers.
_FORWARD = """
for i = 1, #ARGV, 2 do
  local number = redis.call('HGET', KEYS[1], ARGV[i])
  if not number or number < ARGV[i + 1] then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
"""
# KEYS: the expiries of an entity. ARGV: up to which, how a row's name begins, how many.
_REMOVE = """
local keys = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, key in ipairs(keys) do
  redis.call('UNLINK', ARGV[2] .. key)
  redis.call('ZREM', KEYS[1], key)
end
return #keys
"""
_FETCH_SHA = hashlib.sha1(_FETCH.encode(), usedforsecurity=False).hexdigest()
"""By which the server knows it, so that it is not sent each time."""
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Address:
    """A database of a server, and how to log in."""

    host: str
    port: int
    db: int
    username: str | None
    password: str | None = dataclasses.field(repr=False)
    tls: bool

    @property
    def url(self) -> str:
        """Without user and password, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' if self.tls else ''}://{host}:{self.port}/{self.db}"


class RedisStore(OnlineStore):
    """One namespace of a Redis database. Reading and writing a bundle, and a reader's look, are one round trip each.

    A row is a hash; the keys of an entity's rows are in a sorted set by when they expire, and the namespace has a hash
    for registers and floors, one for marks, and the set of its entities.
    """

    def __init__(self, address: Address, namespace: str) -> None:
        """Sends nothing."""
        self._url = address.url
        self._namespace = namespace
        self._prefix = f"twinbeam/{quote(namespace, safe='')}/"
        self._entities = f"{self._prefix}entities"
        self._progress = f"{self._prefix}progress"
        self._marks = f"{self._prefix}marks"
        self._looked_at_memory = False
        self._redis = redis.Redis(
            host=address.host,
            port=address.port,
            db=address.db,
            username=address.username,
            password=address.password,
            ssl=address.tls,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        self._idle: list[Connection] = []
        """Connections of `fetch`, which goes around the client: that takes as long as the server to answer."""

    def read(self, rows: Sequence[RowKey]) -> list[Stored | None]:
        """See `OnlineStore`."""
        found = self._send([("HMGET", self._row(row), "recent", "identities", "version") for row in rows])
        return [
            None if version is None else Stored(recent, identities, int(version))
            for recent, identities, version in found
        ]

    def read_older(self, rows: Sequence[RowKey]) -> list[bytes]:
        """See `OnlineStore`."""
        return [older or b"" for older in self._send([("HGET", self._row(row), "older") for row in rows])]

    def write(self, changes: Sequence[Change]) -> list[int]:
        """See `OnlineStore`. Each change is a script of its own.

        The first call looks at the server's memory, and warns where it would remove rows to make room.
        """
        if not changes:
            return []
        if not self._looked_at_memory:
            self._look_at_memory()
        entities = {change.row.entity for change in changes}
        commands: list[tuple[Any, ...]] = [
            ("SADD", _NAMESPACES, self._namespace),
            ("SADD", self._entities, *entities),
        ]
        for change in changes:
            keys = (self._row(change.row), self._expiries(change.row.entity))
            versions = (change.expected, next_version(change.expected))
            content = (change.recent, change.identities, change.expires, change.row.key)
            older = () if change.older is None else (change.older,)
            commands.append(("EVAL", _WRITE, 2, *keys, *versions, *content, *older))
        return [index for index, written in enumerate(self._send(commands)[2:]) if not written]

    def fetch(self, rows: Sequence[RowKey]) -> Snapshot:
        """See `OnlineStore`. All of it is one script, and so of one moment."""
        keys: list[str | bytes] = [self._progress, *map(self._row, rows)]
        with self._told():
            text, *found = self._ask_soon(keys)
        parts = [None if recent is None else (recent, older or b"") for recent, older in found]
        return Snapshot(parts, *_registers_and_floors(text))

    def registers(self) -> list[Register]:
        """See `OnlineStore`."""
        return self.fetch([]).registers

    def advance(self, registers: Sequence[Register]) -> None:
        """See `OnlineStore`."""
        if registers:
            self._forward(progress.of_registers(registers))

    def raise_floor(self, source: str, slot: int) -> None:
        """See `OnlineStore`."""
        self._forward([progress.of_floor(source, slot)])

    def sweep(self, entity: str, before: int) -> int:
        """See `OnlineStore`."""
        return self._remove(entity, f"({before}")

    def marks(self) -> dict[str, str]:
        """See `OnlineStore`."""
        (marks,) = self._send([("HGETALL", self._marks)])
        return {name.decode(): value.decode() for name, value in marks.items()}

    def mark(self, name: str, value: str) -> None:
        """See `OnlineStore`."""
        self._send([("SADD", _NAMESPACES, self._namespace), ("HSET", self._marks, name, value)])

    def size(self) -> tuple[int, int]:
        """See `OnlineStore`. It looks at each row."""
        count = size = 0
        for entity in self._all_entities():
            (rows,) = self._send([("ZCARD", self._expiries(entity))])
            for first in range(0, rows, BATCH):
                (keys,) = self._send([("ZRANGE", self._expiries(entity), first, first + BATCH - 1)])
                hashes = [self._row(RowKey(entity, key)) for key in keys]
                fields = ("recent", "identities", "older")
                lengths = self._send([("HSTRLEN", name, field) for name in hashes for field in fields])
                count, size = count + len(keys), size + sum(lengths)
        return count, size

    def namespaces(self) -> list[str]:
        """The names of all namespaces of the database, ascending."""
        (names,) = self._send([("SMEMBERS", _NAMESPACES)])
        return sorted(map(bytes.decode, names))

    def drop(self) -> None:
        """Removes all of the namespace, its name last."""
        for entity in self._all_entities():
            self._remove(entity, "+inf")
        self._send([("UNLINK", self._entities, self._progress, self._marks), ("SREM", _NAMESPACES, self._namespace)])

    def close(self) -> None:
        """See `OnlineStore`."""
        while self._idle:
            self._redis.connection_pool.release(self._idle.pop())
        self._redis.close()

    def _ask_soon(self, keys: Sequence[str | bytes]) -> list[Any]:
        """What `_FETCH` gives, by a connection that no other thread has meanwhile."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._redis.connection_pool.get_connection()
        try:
            try:
                return _evaluate(connection, keys)
            except redis.ConnectionError:  # it was closed while nobody used it, or the server is away
                return _evaluate(connection, keys)
        finally:
            self._idle.append(connection)

    def _row(self, row: RowKey) -> bytes:
        return f"{self._prefix}row/{_escaped(row.entity)}/".encode() + row.key

    def _expiries(self, entity: str) -> str:
        return f"{self._prefix}expiries/{_escaped(entity)}"

    def _all_entities(self) -> list[str]:
        (entities,) = self._send([("SMEMBERS", self._entities)])
        return [entity.decode() for entity in entities]

    def _forward(self, numbers: Sequence[tuple[str, str]]) -> None:
        words = [word for named in numbers for word in named]
        self._send([("SADD", _NAMESPACES, self._namespace), ("EVAL", _FORWARD, 1, self._progress, *words)])

    def _remove(self, entity: str, up_to: str) -> int:
        arguments = (up_to, self._row(RowKey(entity, b"")), BATCH)
        removed = 0
        while True:
            (now,) = self._send([("EVAL", _REMOVE, 1, self._expiries(entity), *arguments)])
            removed += now
            if now < BATCH:
                return removed

    def _look_at_memory(self) -> None:
        (memory,) = self._send([("INFO", "memory")])
        self._looked_at_memory = True
        if memory["maxmemory"] and memory["maxmemory_policy"] != "noeviction":
            _LOG.warning(
                "%s: with its maxmemory-policy %s the server silently removes rows once its memory is full, and live "
                "features are wrong then. Set it to noeviction.",
                self._url,
                memory["maxmemory_policy"],
            )

    def _send(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The answers to some commands, which are sent in one go."""
        with self._told(), self._redis.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            answers = pipeline.execute(raise_on_error=False)
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Says what keeps the server from doing as it is told."""
        try:
            yield
        except redis.RedisError as error:
            if mend := _mend(error):
                raise StoreUnavailable(f"{self._url}: {str(error).rstrip('.')}. {mend}") from None
            raise


def _evaluate(connection: Connection, keys: Sequence[str | bytes]) -> list[Any]:
    """What `_FETCH` gives; a connection that is closed is made again."""
    try:
        connection.send_command("EVALSHA", _FETCH_SHA, len(keys), *keys)
        return connection.read_response()
    except NoScriptError:
        connection.send_command("EVAL", _FETCH, len(keys), *keys)  # the server knows it from now on
        return connection.read_response()


@functools.lru_cache(maxsize=8)  # readers ask far more often than it changes
def _registers_and_floors(text: bytes) -> tuple[list[Register], dict[str, int]]:
    words = text.decode().split()
    numbers = dict(zip(words[::2], words[1::2], strict=True))
    return progress.registers(numbers), progress.floors(numbers)


@functools.cache
def _escaped(entity: str) -> str:
    return quote(entity, safe="")


def _mend(error: redis.RedisError) -> str:
    """How to mend what keeps the server from doing as it is told; empty where that is not the trouble."""
    match error:
        case redis.AuthenticationError() | NoPermissionError():
            return "Mend the user and the password in its URL, or the rights that the server gives them."
        case redis.ConnectionError() | redis.TimeoutError():
            return "Look whether the server is up and can be reached, and whether its URL is right; or repeat later."
        case OutOfMemoryError():
            return "Raise the server's maxmemory, or drop a namespace that nobody reads any more."
        case redis.ReadOnlyError():
            return "This is a replica; name the primary."
        case redis.ResponseError() if str(error).startswith(("BUSY ", "MISCONF ", "NOREPLICAS ")):
            return "Look after the server, or repeat later."
        case redis.ResponseError() if str(error).startswith("DB index"):
            return "Mend the database's number in its URL."
        case _:
            return ""
