"""A store that is down, slow, full or locked: `StoreUnavailable`, and as before once that has passed."""

import contextlib
import logging
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.cloud.bigtable import Client
from redis import Redis, ResponseError

from modules.spec import InputError
from modules.spec.errors import StoreUnavailable
from pipeline.stores import bigtable, redis, sqlite
from pipeline.stores.store import OnlineStore, Register
from pipeline.stores.urls import drop_namespace, list_namespaces, open_store
from tests.conftest import ROOT
from tests.pipeline.stores.rows import change, row
from tests.pipeline.stores.servers import Server, bigtable_emulator, free_port, redis_server

PASSWORD = "p@ss:w/rd#?é"
QUOTED = "p%40ss%3Aw%2Frd%23%3F%C3%A9"
WRITES: list[Callable[[OnlineStore], object]] = [
    lambda store: store.write([change(row("a")), change(row("b"))]),
    lambda store: store.advance([Register("trips", "0", 1, 0)]),
    lambda store: store.raise_floor("trips", 1),
    lambda store: store.sweep("trips/area", 1),
    lambda store: store.mark("a", "b"),
]
READS: list[Callable[[OnlineStore], object]] = [
    lambda store: store.read([row("a")]),
    lambda store: store.read_older([row("a")]),
    lambda store: store.fetch([row("a")]),
    lambda store: store.registers(),
    lambda store: store.marks(),
    lambda store: store.size(),
]


def refused(url: str, calls: list[Callable[[OnlineStore], object]], store: OnlineStore, words: str) -> None:
    """Checks that each call, and listing and dropping, says so and how to mend it, without the password."""
    others: list[Callable[[], object]] = [lambda: list_namespaces(url), lambda: drop_namespace(url, "n")]
    for call in [*(lambda call=call: call(store) for call in calls), *others]:
        with pytest.raises(StoreUnavailable, match=words) as info:
            call()
        assert PASSWORD not in str(info.value)
        assert QUOTED not in str(info.value)
        assert info.value.__suppress_context__


@contextlib.contextmanager
def server_and_url(kind: str) -> Iterator[tuple[Server, str, str]]:
    """A server of its own, the URL, and how messages name it."""
    if kind == "redis":
        with redis_server("--requirepass", PASSWORD) as server:
            shown = f"127.0.0.1:{server.port}/2"
            yield server, f"redis://:{QUOTED}@{shown}", f"redis://{shown}"
    else:
        with bigtable_emulator() as server:
            yield server, "bigtable://project/instance/table", "bigtable://project/instance/table"


@pytest.mark.parametrize("kind", ["redis", "bigtable"])
def test_a_killed_server_is_unavailable_until_it_is_started_again(kind: str) -> None:
    with server_and_url(kind) as (server, url, shown), open_store(url, "n") as store:
        store.write([change(row("a"), recent=b"before")])
        server.kill()
        refused(url, READS + WRITES, store, f"^{shown}: .*([Cc]onnect|503).*[Ll]ook whether .* or repeat later")
        server.start()
        deadline = time.monotonic() + 60
        while True:  # gRPC waits a while before it connects again
            try:
                assert store.fetch([row("a")]).rows == [None]  # the server kept nothing on disk
                assert store.write([change(row("a"), recent=b"after")]) == []
                break
            except StoreUnavailable:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert store.fetch([row("a")]).rows == [(b"after", b"")]


def test_a_reader_does_not_notice_that_redis_was_started_again() -> None:
    """It has closed the reader's connection, and knows no script."""
    with redis_server() as server, open_store(f"redis://127.0.0.1:{server.port}/0", "n") as store:
        store.write([change(row("a"), recent=b"before")])
        assert store.fetch([row("a")]).rows == [(b"before", b"")]
        server.kill()
        server.start()
        assert store.fetch([row("a")]).rows == [None]


@pytest.mark.parametrize("kind", ["redis", "bigtable"])
def test_a_server_that_says_nothing_is_waited_for_as_long_as_set(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "TIMEOUT", 0.1)
    monkeypatch.setattr(bigtable, "TIMEOUT", 0.1)
    monkeypatch.setattr(bigtable, "ADMIN_TIMEOUT", 0.1)
    with server_and_url(kind) as (server, url, shown), open_store(url, "n") as store:
        with server.paused():
            refused(url, READS + WRITES, store, f"^{shown}: .*([Tt]imeout|Deadline Exceeded).* or repeat later")
        monkeypatch.undo()
        with open_store(url, "another") as another:  # what was asked of the first may still be done
            another.mark("a", "b")
            assert another.marks() == {"a": "b"}


def test_a_host_that_does_not_exist() -> None:
    with open_store(f"redis://user:{QUOTED}@nowhere.invalid/0", "n") as store:
        refused(
            f"redis://user:{QUOTED}@nowhere.invalid/0",
            READS,
            store,
            r"^redis://nowhere\.invalid:6379/0: .*[Ll]ook whether",
        )


def test_a_wrong_password(caplog: pytest.LogCaptureFixture) -> None:
    with redis_server("--requirepass", "another") as server, caplog.at_level(logging.DEBUG):
        url = f"redis://:{QUOTED}@127.0.0.1:{server.port}/0"
        with open_store(url, "n") as store:
            refused(url, READS + WRITES, store, r"invalid username-password pair.*Mend the user and the password")
            assert PASSWORD not in repr(store) + repr(vars(store)) + caplog.text
    with redis_server("--requirepass", "another") as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        with open_store(url, "n") as store:
            refused(url, READS, store, r"Authentication required.*Mend the user and the password")


def test_a_database_that_the_server_does_not_have(redis: Server) -> None:
    url = f"redis://127.0.0.1:{redis.port}/99"
    with open_store(url, "n") as store:
        refused(url, READS, store, r"DB index is out of range.*Mend the database's number")


def test_a_replica(redis: Server) -> None:
    with (
        redis_server("--replicaof", "127.0.0.1", str(redis.port)) as server,
        open_store(f"redis://127.0.0.1:{server.port}/0", "n") as store,
        pytest.raises(StoreUnavailable, match=r"This is a replica; name the primary\.$"),
    ):
        store.write([change(row("a"))])


def test_a_full_redis_says_so_and_keeps_what_it_has(caplog: pytest.LogCaptureFixture) -> None:
    with (
        redis_server("--maxmemory", "8mb") as server,
        open_store(f"redis://127.0.0.1:{server.port}/0", "n") as store,
    ):
        places = [row(str(number)) for number in range(100)]
        refusal = r"maxmemory.*Raise the server's maxmemory, or drop a namespace that nobody reads any more\.$"
        with pytest.raises(StoreUnavailable, match=refusal):
            store.write([change(place, recent=bytes(500_000)) for place in places])
        written = [one is not None for one in store.read(places)]
        assert 2 < sum(written) < 20
        assert written == sorted(written, reverse=True)
        assert [one is not None for one in store.fetch(places).rows] == written
        assert store.sweep("trips/area", 101) == sum(written)
        assert store.write([change(row("after"))]) == []
    assert not caplog.records


def test_a_redis_that_evicts_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    options = ("--maxmemory", "20mb", "--maxmemory-policy", "allkeys-lru", "--requirepass", PASSWORD)
    with (
        redis_server(*options) as server,
        open_store(f"redis://:{QUOTED}@127.0.0.1:{server.port}/0", "n") as store,
    ):
        store.fetch([row("a")])
        assert not caplog.records
        store.write([change(row("a"))])
        store.write([change(row("b"))])
    (message,) = caplog.messages
    assert message.startswith(f"redis://127.0.0.1:{server.port}/0: with its maxmemory-policy allkeys-lru")
    assert message.endswith("Set it to noeviction.")


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("openssl is not installed (Debian: apt-get install openssl)")
    certificate, key, port = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem"), str(free_port())
    made = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([openssl, *made.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    files = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no")
    with redis_server("--tls-port", port, *files):
        url = f"rediss://127.0.0.1:{port}/0"
        with open_store(url, "n") as store:
            refused(url, READS, store, r"certificate verify failed: self-signed certificate.*[Ll]ook whether")
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        with open_store(url, "n") as store:
            store.mark("a", "b")
            assert store.marks() == {"a": "b"}


def test_a_lock_that_is_held_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "TIMEOUT", 0.05)
    url = f"sqlite://{tmp_path}/live.db"
    with open_store(url, "n") as store, contextlib.closing(sqlite3.connect(tmp_path / "live.db")) as other:
        store.mark("a", "b")
        other.execute("BEGIN IMMEDIATE")
        for call in WRITES:
            with pytest.raises(
                StoreUnavailable, match=r"live\.db: database is locked\. Another process holds the lock"
            ):
                call(store)
        assert store.marks() == {"a": "b"}  # readers need not wait
        other.rollback()
        for call in READS + WRITES:
            call(store)


def test_a_writer_has_its_turn_beside_one_that_hardly_lets_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "TIMEOUT", 1.0)
    stop, held = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.closing(sqlite3.connect(tmp_path / "live.db", 5.0, isolation_level=None)) as other:
            while not stop.wait(0.005):
                other.execute("BEGIN IMMEDIATE")
                held.set()
                time.sleep(0.1)
                held.clear()
                other.execute("COMMIT")

    with open_store(f"sqlite://{tmp_path}/live.db", "n") as store, ThreadPoolExecutor(1) as pool:
        store.mark("a", "b")
        holding = pool.submit(hold)
        try:
            for number in range(10):
                assert held.wait(5)
                store.mark("a", f"{number}")
        finally:
            stop.set()
        holding.result()
        assert store.marks() == {"a": "9"}


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with open_store(f"sqlite://{tmp_path}/none/live.db", "n") as store:
        with pytest.raises(StoreUnavailable, match=r"none/live\.db: unable to open database file\. Make the directory"):
            store.mark("a", "b")
        (tmp_path / "none").mkdir()
        store.mark("a", "b")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "live.db").write_text("not a database, but long enough to have a header of a hundred bytes" * 3)
    with (
        open_store(f"sqlite://{tmp_path}/live.db", "n") as store,
        pytest.raises(InputError, match=r"live\.db: this file is not a SQLite database\. Name another one\.$"),
    ):
        store.marks()


def test_a_closed_store_leaves_no_other_files(tmp_path: Path) -> None:
    with open_store(f"sqlite://{tmp_path}/a %23?b#.db", "n") as store:
        store.mark("a", "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a %23?b#.db"]


def test_writes_are_flushed_to_the_disk(tmp_path: Path) -> None:
    with contextlib.closing(sqlite._connect(f"file:{tmp_path}/live.db")) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_many_that_make_the_file_at_once(tmp_path: Path) -> None:
    def write(url: str, name: str, together: threading.Barrier) -> None:
        together.wait()
        with open_store(url, "n") as store:
            store.marks()
            store.mark(name, "")

    with ThreadPoolExecutor(8) as pool:
        for number in range(5):
            url, together = f"sqlite://{tmp_path}/{number}.db", threading.Barrier(8)
            for done in [pool.submit(write, url, str(name), together) for name in range(8)]:
                done.result()
            with open_store(url, "n") as store:
                assert len(store.marks()) == 8


FILL = """
import resource, sys
from modules.spec.errors import StoreUnavailable
from pipeline.stores.urls import open_store
from tests.pipeline.stores.rows import change, row
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
with open_store(sys.argv[1], "n") as store:
    for number in range(1000):
        try:
            store.write([change(row(f"{number}/{half}"), recent=bytes(50_000)) for half in "ab"])
        except StoreUnavailable as error:
            print(number, error)
            store.read([row("0/a")])
            break
"""


def test_a_full_disk_says_so_and_loses_nothing(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/live.db"
    done = subprocess.run([sys.executable, "-c", FILL, url], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    number, message = done.stdout.strip().split(" ", 1)
    assert int(number) > 5
    assert message.startswith(f"{url}: disk I/O error. Look after the disk: it may be full")
    with open_store(url, "n") as store:
        assert store.size()[0] == 2 * int(number)
        assert store.write([change(row(f"{number}/a"), recent=bytes(50_000))]) == []


WRITE = """
import itertools, sys
from pipeline.stores.store import Register
from pipeline.stores.urls import open_store
from tests.pipeline.stores.rows import change, row
places = [row(f"{number}") for number in range(20)]
with open_store(sys.argv[1], "n") as store:
    found = store.read(places)
    first = int(found[0].recent[:9]) + 1 if found[0] else 0
    for number in itertools.count(first):
        found = store.read(places)
        content = (b"%09d" % number) * 100
        older = content * 20 if number % 3 == 0 else None
        changes = [change(p, f.version if f else 0, content, older) for p, f in zip(places, found)]
        assert store.write(changes) == []
        print(number, flush=True)
        store.advance([Register("trips", "0", number, number)])
"""


def test_a_killed_writer_loses_nothing_that_it_was_told_is_written(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/live.db"
    places = [row(f"{number}") for number in range(20)]
    acknowledged = -1
    for life in range(8):
        process = subprocess.Popen([sys.executable, "-c", WRITE, url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(3 + life):
            acknowledged = int(process.stdout.readline())
        time.sleep(0.0007 * life)  # somewhere in the middle of the next
        process.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
        process.wait()
        with open_store(url, "n") as store:
            found = store.fetch(places)
        rows = set(found.rows)
        assert len(rows) == 1  # all of a bundle, or nothing
        (one,) = rows
        assert one is not None
        number = int(one[0][:9])
        assert acknowledged <= number <= acknowledged + 1
        assert found.registers[0].watermark <= number
        assert one == ((b"%09d" % number) * 100, (b"%09d" % (number // 3 * 3)) * 2000)
        with contextlib.closing(sqlite3.connect(tmp_path / "live.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_no_credentials_for_bigtable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIGTABLE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(StoreUnavailable, match=r"^bigtable://p/i/t: File .*none\.json was not found.*gcloud auth"):
        open_store("bigtable://p/i/t", "n")


def test_a_bigtable_table_without_families_gets_them(bigtable: Server) -> None:
    table = Client(project="project", admin=True).instance("instance").table("bare")
    table.create()
    with open_store("bigtable://project/instance/bare", "n") as store:
        assert store.fetch([row("a")]).rows == [None]
        store.mark("a", "b")
        assert store.write([change(row("a"))]) == []
    families = table.list_column_families()
    assert {name: family.gc_rule.max_num_versions for name, family in families.items()} == {
        "row": 1,
        "progress": 1,
        "mark": 1,
    }


def test_other_errors_of_redis_stay_what_they_are(redis: Server) -> None:
    with Redis(port=redis.port) as client, open_store(f"redis://127.0.0.1:{redis.port}/0", "other") as store:
        client.set("twinbeam/other/marks", "not a hash")
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            store.marks()


def test_other_errors_of_sqlite_stay_what_they_are(tmp_path: Path) -> None:
    with open_store(f"sqlite://{tmp_path}/live.db", "n") as store:
        store.mark("a", "b")
        with contextlib.closing(sqlite3.connect(tmp_path / "live.db")) as other:
            other.execute("DROP TABLE mark")
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            store.marks()
        assert store.marks() == {}  # a new connection makes it
