"""Which store a URL names. A store's client library is imported only once a URL names that store."""

import re
from typing import Protocol
from urllib.parse import unquote

from modules.spec import InputError
from pipeline.stores.store import OnlineStore

_SQLITE = re.compile("sqlite://(?P<path>.*[^/])")
_REDIS = re.compile(
    r"redis(?P<tls>s?)://((?P<user>[^:@/]*):(?P<password>.*)@)?"
    r"(?P<host>[\w-]+(\.[\w-]+)*\.?|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?(/(?P<db>[0-9]*))?"
)
_BIGTABLE = re.compile("bigtable://(?P<project>[^/@?#]+)/(?P<instance>[^/@?#]+)/(?P<table>[^/@?#]+)")
_HARMLESS = re.compile(r"([^:?#[]|\[[0-9A-Fa-f:.]+\])*(:[0-9]{1,5}(?=/|$)[^:?#]*)?")


class _Store(OnlineStore, Protocol):
    """What each store can do besides."""

    def namespaces(self) -> list[str]: ...

    def drop(self) -> None: ...


def open_store(url: str, namespace: str) -> OnlineStore:
    """Opens one namespace of the store that a URL names. The store is not touched before the first method is called.

    Args:
      url: `sqlite://PATH`: what follows the two slashes is the path, as it is; `sqlite://live.db` is relative and
        `sqlite:///var/live.db` absolute. `redis://[[user]:password@]host[:port][/db]`, or `rediss://` over TLS: user
        and password may be percent-encoded, the port is 6379 and the database 0 if not given.
        `bigtable://project/instance/table`: with the machine's own credentials, or at BIGTABLE_EMULATOR_HOST.
      namespace: The fingerprint of the live features.

    Raises:
      InputError: The URL names no store.
      StoreUnavailable: There are no credentials for Bigtable.
    """
    return _open(url, namespace)


def list_namespaces(url: str) -> list[str]:
    """The names of all namespaces of a store, ascending."""
    with _open(url, "") as store:
        return store.namespaces()


def drop_namespace(url: str, namespace: str) -> None:
    """Removes a namespace and all that is in it, if there is one. Nobody may be using it.

    After `StoreUnavailable` a part may be gone, and the namespace is still listed; called again it goes on.
    """
    with _open(url, namespace) as store:
        store.drop()


def without_password(url: str) -> str:
    """A URL for messages, down to scheme, host, port and path, even if it is malformed; a SQLite URL as it is."""
    scheme, slashes, rest = url.partition("://")
    if scheme == "sqlite":
        return url
    if not slashes:
        scheme, rest = "", url
    harmless = _HARMLESS.match(rest.rpartition("@")[2])
    return scheme + slashes + (harmless[0] if harmless else "")


def _open(url: str, namespace: str) -> _Store:
    if match := _SQLITE.fullmatch(url):
        from pipeline.stores.sqlite import SqliteStore

        return SqliteStore(match["path"], namespace)
    if (match := _REDIS.fullmatch(url)) and int(match["port"] or 0) < 65536:
        from pipeline.stores.redis import Address, RedisStore

        address = Address(
            host=match["host"].strip("[]"),
            port=int(match["port"] or 6379),
            db=int(match["db"] or 0),
            username=unquote(match["user"] or "") or None,
            password=unquote(match["password"] or "") or None,
            tls=bool(match["tls"]),
        )
        return RedisStore(address, namespace)
    if match := _BIGTABLE.fullmatch(url):
        from pipeline.stores.bigtable import BigtableStore

        return BigtableStore(match["project"], match["instance"], match["table"], namespace)
    raise InputError(
        f"{without_password(url)!r} names no online store. Accepted: sqlite://PATH (sqlite:///var/live.db is "
        "/var/live.db), redis://[:password@]host[:port][/db], rediss:// for the same over TLS, and "
        "bigtable://project/instance/table."
    )
