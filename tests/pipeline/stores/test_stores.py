"""What every store does, on a real one of each kind."""

import contextlib
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from pipeline.stores import bigtable, redis, sqlite
from pipeline.stores.store import Change, OnlineStore, Register, RowKey, Snapshot, Stored
from pipeline.stores.urls import drop_namespace, list_namespaces, open_store
from tests.conftest import ROOT
from tests.pipeline.stores.rows import add, change, row

FEW = hypothesis.settings(
    max_examples=15, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture], deadline=None
)
A, B, C = row("a"), row("b"), row("c")


def stored(store: OnlineStore, place: RowKey) -> Stored:
    """A row that is there."""
    (found,) = store.read([place])
    assert found is not None
    return found


def test_what_nobody_has_written_is_empty_and_reading_makes_nothing(url: str) -> None:
    with open_store(url, "n") as store:
        assert store.fetch([A, B]) == Snapshot([None, None], [], {})
        assert store.read([A]) == [None]
        assert store.read_older([A]) == [b""]
        assert store.registers() == []
        assert store.marks() == {}
        assert store.size() == (0, 0)
        assert list_namespaces(url) == []
        drop_namespace(url, "n")
        assert store.sweep("trips/area", 10) == 0


def test_nothing_asked_is_nothing_answered(url: str) -> None:
    with open_store(url, "n") as store:
        store.write([change(A)])
        store.raise_floor("trips", 1)
        assert (store.read([]), store.read_older([]), store.write([])) == ([], [], [])
        store.advance([])
        assert store.fetch([]) == Snapshot([], [], {"trips": 1})


def test_rows_come_back_as_written_and_in_the_order_asked(url: str) -> None:
    with open_store(url, "n") as store:
        assert store.write([change(C, recent=b"3", older=b"33"), change(A, recent=b"1"), change(B, recent=b"")]) == []
        assert store.fetch([B, row("?"), C, A, C]).rows == [(b"", b""), None, (b"3", b"33"), (b"1", b""), (b"3", b"33")]
        assert store.read_older([A, C, row("?")]) == [b"", b"33", b""]
        found = store.read([C, row("?"), A])
        assert [one and (one.recent, one.identities) for one in found] == [
            (b"3", b"identities of 3"),
            None,
            (b"1", b"identities of 1"),
        ]


def test_a_change_is_refused_unless_the_version_is_still_the_expected_one(url: str) -> None:
    with open_store(url, "n") as store:
        store.write([change(A, recent=b"first"), change(B, recent=b"first")])
        version = stored(store, A).version
        assert version > 0
        changes = [
            change(A, version - 1, b"wrong", older=b"wrong"),
            change(C, recent=b"new"),
            change(B, recent=b"wrong"),
            change(row("d"), 5, b"wrong"),
        ]
        assert store.write(changes) == [0, 2, 3]
        assert [one and one[0] for one in store.fetch([A, B, C, row("d")]).rows] == [b"first", b"first", b"new", None]
        assert store.read_older([A]) == [b""]
        assert store.write([change(A, version, b"second")]) == []
        assert stored(store, A).version == version + 1
        assert store.write([change(A, version, b"third")]) == [0]
        assert stored(store, A) == Stored(b"second", b"identities of second", version + 1)


def test_older_cells_stay_until_they_are_replaced(url: str) -> None:
    with open_store(url, "n") as store:
        older = []
        for given in (None, b"one", None, b"two", b"", None):
            found = store.read([A])[0]
            assert store.write([change(A, found.version if found else 0, older=given)]) == []
            older += store.read_older([A])
        assert older == [b"", b"one", b"one", b"two", b"", b""]


def test_a_version_never_comes_again_when_a_row_is_swept_and_made_anew(url: str) -> None:
    with open_store(url, "n") as store:
        store.write([change(A, older=b"old")])
        version = stored(store, A).version
        assert store.sweep(A.entity, 101) == 1
        store.write([change(A, recent=b"anew")])
        assert store.fetch([A]).rows == [(b"anew", b"")]
        assert store.write([change(A, version, b"lost update")]) == [0]


@FEW
@hypothesis.given(
    keys=st.lists(
        st.binary(max_size=40) | st.sampled_from([b"", b"\0", b"#", b"/", b"a/b#c\0", b"\xff\xff"]), max_size=9
    ),
    entities=st.sets(
        st.sampled_from(["", "a", "a/b", "a/b/", "a%2Fb", "/", "#", "ä:\n", "a\0b"]), min_size=1, max_size=4
    ),
)
@hypothesis.example(keys=[b"", b"b/c", b"c", b"/"], entities={"a", "a/b", "a/", ""})
def test_keys_are_any_bytes_and_entities_any_names(url: str, keys: list[bytes], entities: set[str]) -> None:
    places = [row(key, entity) for entity in sorted(entities) for key in dict.fromkeys(keys)]
    content = {place: repr(place).encode() for place in places}
    with contextlib.ExitStack() as stack:
        stack.callback(drop_namespace, url, "n/%")
        store = stack.enter_context(open_store(url, "n/%"))
        assert store.write([change(place, recent=recent) for place, recent in content.items()]) == []
        assert store.fetch(places).rows == [(recent, b"") for recent in content.values()]
        assert store.size()[0] == len(places)
        for entity in entities:
            assert store.sweep(entity, 101) == len(set(keys))
        assert store.fetch(places).rows == [None] * len(places)


@FEW
@hypothesis.given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["trips", "a/b", "ä "]),
            st.sampled_from(["0", "1", "x/y", ""]),
            st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2),
            st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2**53 + 2),
        ),
        max_size=8,
    )
)
@hypothesis.example([("trips", "0", 2**63 - 1, 8 * 10**17), ("trips", "0", 0, 0), ("trips", "0", -(2**63), -1)])
def test_registers_only_move_forward(url: str, steps: list[tuple[str, str, int, int]]) -> None:
    greatest: dict[tuple[str, str], Register] = {}
    with contextlib.ExitStack() as stack:
        stack.callback(drop_namespace, url, "n")
        store = stack.enter_context(open_store(url, "n"))
        for source, partition, watermark, position in steps:
            store.advance([Register(source, partition, watermark, position)])
            before = greatest.get((source, partition), Register(source, partition, watermark, position))
            greatest[source, partition] = Register(
                source, partition, max(watermark, before.watermark), max(position, before.position)
            )
        expected = [greatest[place] for place in sorted(greatest)]
        assert store.registers() == store.fetch([]).registers == expected


def test_registers_advance_together(url: str) -> None:
    with open_store(url, "n") as store:
        store.advance([Register("trips", str(partition), 10 * partition, partition) for partition in range(20)])
        store.advance([Register("trips", "3", 5, 50), Register("trips", "2", 25, 0), Register("visits", "0", 1, 0)])
        found = {(one.source, one.partition): (one.watermark, one.position) for one in store.registers()}
        assert len(found) == 21
        assert (found["trips", "3"], found["trips", "2"], found["visits", "0"]) == ((30, 50), (25, 2), (1, 0))


def test_floors_only_rise(url: str) -> None:
    with open_store(url, "n") as store:
        for slot in (-5, 3, 2, 2**53 + 1, 2**53, 7):
            store.raise_floor("trips/x", slot)
        store.raise_floor("visits", -9)
        assert store.fetch([]).floors == {"trips/x": 2**53 + 1, "visits": -9}
        assert store.registers() == []


def test_a_sweep_removes_what_expires_before_a_slot_in_one_entity(url: str) -> None:
    with open_store(url, "n") as store:
        expiries = [-3, 4, 5, 6, 50, 2**40]
        places = [row(f"k{expires}") for expires in expiries]
        other, longer = row("a", "trips"), row("a", "trips/area2")
        store.write(
            [change(place, older=b"o", expires=expires) for place, expires in zip(places, expiries, strict=True)]
        )
        store.write([change(other, expires=0), change(longer, expires=0)])
        store.write([change(places[1], stored(store, places[1]).version, expires=60)])  # it is needed longer now
        assert store.sweep("trips/area", 6) == 2
        assert [one is None for one in store.fetch([*places, other, longer]).rows] == [True, False, True] + [False] * 5
        assert store.sweep("trips/area", 6) == 0
        assert store.sweep("trips/area", 61) == 3


def test_marks(url: str) -> None:
    with open_store(url, "n") as store:
        store.mark("bootstrap", "begun")
        store.mark("söurce/ä", "")
        store.mark("bootstrap", "döne")
        assert store.marks() == {"bootstrap": "döne", "söurce/ä": ""}
        assert store.fetch([]) == Snapshot([], [], {})


def test_namespaces_lie_side_by_side_and_one_is_dropped(url: str) -> None:
    names = ["n", "n/", "n0", "n%2F", "N", "ü#"]
    for name in names:
        with open_store(url, name) as store:
            store.write([change(A, recent=name.encode(), older=b"o")])
            store.advance([Register("trips", name, 1, 1)])
            store.raise_floor(name, 1)
            store.mark("name", name)
    assert list_namespaces(url) == sorted(names)
    drop_namespace(url, "n")
    drop_namespace(url, "never written")
    for name in names:
        with open_store(url, name) as store:
            if name == "n":
                assert store.fetch([A]) == Snapshot([None], [], {})
                assert (store.marks(), store.size()) == ({}, (0, 0))
            else:
                assert store.fetch([A]) == Snapshot([(name.encode(), b"o")], [Register("trips", name, 1, 1)], {name: 1})
                assert store.marks() == {"name": name}
    assert list_namespaces(url) == sorted(set(names) - {"n"})


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.write([change(A)]),
        lambda store: store.advance([Register("trips", "0", 1, 0)]),
        lambda store: store.raise_floor("trips", 1),
        lambda store: store.mark("a", "b"),
    ],
)
def test_whatever_is_written_first_makes_the_namespace(url: str, write: Callable[[OnlineStore], object]) -> None:
    with open_store(url, "n") as store:
        write(store)
        assert list_namespaces(url) == ["n"]
    drop_namespace(url, "n")
    assert list_namespaces(url) == []


def test_size_counts_rows_and_the_bytes_of_their_content(url: str) -> None:
    with open_store(url, "n") as store, open_store(url, "other") as other:
        other.write([change(A)])
        store.advance([Register("trips", "0", 1, 0)])
        store.write([Change(A, 0, b"12", b"345", b"6789", 1), Change(row("b", "e"), 0, b"1", b"", None, 1)])
        assert store.size() == (2, 10)


def test_values_of_several_megabytes(url: str) -> None:
    size = 1 if url.startswith("bigtable") else 8  # megabytes; the emulator's client takes 4 in all
    recent, older = bytes(range(256)) * 4_000 * size, b"\xff\0" * 1_000_000 * size
    with open_store(url, "n") as store:
        assert store.write([Change(A, 0, recent, older, older, 1)]) == []
        assert store.fetch([A]).rows == [(recent, older)]
        assert store.read([A]) == [Stored(recent, older, stored(store, A).version)]


def test_more_rows_than_one_request_takes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in [(sqlite, "BATCH"), (redis, "BATCH"), (bigtable, "KEYS"), (bigtable, "PAGE")]:
        monkeypatch.setattr(module, name, 4)
    places = [row(f"{number:02d}") for number in range(20)]
    with open_store(url, "n") as store:
        store.write([change(place, recent=place.key, expires=number) for number, place in enumerate(places)])
        assert store.fetch(places).rows == [(place.key, b"") for place in places]
        assert store.size() == (20, 20 * len(b"00identities of 00"))
        assert store.sweep("trips/area", 8) == 8
        assert store.sweep("trips/area", 9) == 1
        assert store.size()[0] == 11
        drop_namespace(url, "n")
        assert store.size() == (0, 0)
        assert store.fetch(places).rows == [None] * 20


def test_threads_that_share_a_store_lose_nothing(url: str) -> None:
    with open_store(url, "n") as store, ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(add, store, [A, B, C][number % 2 :]) for number in range(60)]:
            done.result()
        assert [one and one[0] for one in store.fetch([A, B, C]).rows] == [b"30", b"60", b"60"]


ADD = """
import sys
from pipeline.stores.urls import open_store
from tests.pipeline.stores.rows import add, row
print("ready", flush=True)
sys.stdin.readline()
with open_store(sys.argv[1], "n") as store:
    for _ in range(40):
        add(store, [row("a"), row("b")])
"""


def test_processes_lose_nothing(url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", ADD, url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # each makes the store if it is the first
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    with open_store(url, "n") as store:
        assert [one and one[0] for one in store.fetch([A, B]).rows] == [b"80", b"80"]


def test_registers_are_no_younger_than_the_rows_and_floors_no_older(url: str) -> None:
    stop = threading.Event()
    places = [row(f"{number}") for number in range(5)]

    def write() -> None:
        with open_store(url, "n") as store:
            versions = [0] * len(places)
            for number in itertools.count():
                if stop.is_set():
                    return
                store.raise_floor("trips", number)
                changes = zip(places, versions, strict=True)
                assert store.write([change(place, version, b"%d" % number) for place, version in changes]) == []
                versions = [one.version for one in store.read(places) if one]
                store.advance([Register("trips", "0", number, 0)])

    with open_store(url, "n") as store, ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            numbers: set[int] = set()
            while len(numbers) < 20:
                assert not writing.done() or writing.result() is None
                time.sleep(0)  # let the other thread go on
                found = store.fetch(places)
                rows = [int(one[0]) for one in found.rows if one]
                if found.registers:
                    assert found.registers[0].watermark <= min(rows)
                    assert max(rows) <= found.floors["trips"]
                    if not url.startswith("bigtable"):
                        assert found.floors["trips"] <= found.registers[0].watermark + 1
                    if url.startswith("sqlite"):
                        assert len(set(rows)) == 1  # a bundle is one transaction
                    numbers.add(max(rows))
        finally:
            stop.set()
        writing.result()


@pytest.mark.usefixtures("bigtable")
def test_bigtable_reads_registers_before_the_rows_and_floors_after(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "bigtable://project/instance/order"
    with open_store(url, "n") as store, open_store(url, "n") as writer:
        get, numbers = bigtable.BigtableStore._get, itertools.count()

        def write() -> None:
            number = next(numbers)
            writer.raise_floor("trips", number)
            found = writer.read([A])[0] if number else None
            writer.write([change(A, found.version if found else 0, b"%d" % number)])
            writer.advance([Register("trips", "0", number, 0)])

        def between_two_writes(self: bigtable.BigtableStore, *arguments: Any) -> list[dict[bytes, bytes]]:
            if self is not store:
                return get(self, *arguments)
            write()
            found = get(self, *arguments)
            write()
            return found

        monkeypatch.setattr(bigtable.BigtableStore, "_get", between_two_writes)
        write()
        assert store.fetch([A]) == Snapshot([(b"1", b"")], [Register("trips", "0", 0, 0)], {"trips": 2})
