"""What is read online: the bits of the batch wherever it says that they are complete, and never a wrong one."""

import concurrent.futures
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from modules.kernel.take import Columns
from modules.live import entities
from modules.spec import Declaration, InputError, StoreUnavailable
from pipeline.live.columns import included_columns
from pipeline.live.place import Place
from pipeline.live.reader import FeatureReader, LiveValue, Status
from pipeline.live.watermark import HISTORY
from pipeline.stores.sqlite import SqliteStore
from pipeline.stores.store import RowKey, Snapshot
from tests.pipeline.live.filled import OWN, advance, by_batch, declare, fill
from tests.pipeline.live.rides import SECOND, Event, payments, rides
from tests.pipeline.stores.servers import free_port

KNOWN, EMPTY, UNKNOWN, TOO_OLD = Status
RIDES = rides(1500)
END = RIDES[-1]["taken_in"]
EVENTS = {"rides": RIDES, "payments": [event for event in payments(RIDES) if event["taken_in"] <= END]}
PAID = "tips"
MINUTE = 60 * SECOND
ASKER: Event = {"rider": 0, "area": "area 0", "amount": 12.34}


@pytest.fixture
def declaration(tmp_path: Path) -> Declaration:
    return declare(tmp_path)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all events, to be copied."""
    directory = tmp_path_factory.mktemp("original")
    declaration = declare(directory)
    fill(declaration, Place(f"sqlite://{directory}/filled.db", declaration.features_fingerprint), EVENTS)
    return directory / "filled.db"


@pytest.fixture
def filled(declaration: Declaration, original: Path, tmp_path: Path) -> Place:
    shutil.copy(original, tmp_path / "filled.db")
    return Place(f"sqlite://{tmp_path}/filled.db", declaration.features_fingerprint)


@pytest.fixture
def reader(declaration: Declaration, filled: Place) -> Iterator[FeatureReader]:
    with FeatureReader(declaration, filled.open()) as opened:
        yield opened


def asked(events: Sequence[Event]) -> Columns:
    return {
        "rider": pa.array([e["rider"] for e in events], pa.int64()),
        "area": pa.array([e["area"] for e in events], pa.string()),
        "amount": pa.array([e["amount"] for e in events], pa.float64()),
    }


def one(value: LiveValue) -> tuple[Any, Status, bool]:
    return value.values.item(), Status(value.status.item()), value.complete.item()


@pytest.mark.parametrize("url", ["sqlite", "redis"], indirect=True)
def test_what_is_complete_has_the_bits_of_the_batch(declaration: Declaration, place: Place) -> None:
    fill(declaration, place, EVENTS)
    who = [RIDES[0] | {"rider": 999, "area": "nowhere"}, *RIDES[-60:]]
    columns, times = asked(who), END - np.linspace(0, 400, len(who)).astype(np.int64) * SECOND
    expected = by_batch(declaration, EVENTS, columns, times)
    with FeatureReader(declaration, place.open()) as reader:
        found = reader.read(columns, times)
        singly = [reader.read_one(event, int(time)) for event, time in zip(who, times, strict=True)]
    assert found.keys() == expected.keys() == set(declaration.live_features)
    for name, value in found.items():
        assert value.values.dtype == expected[name].values.dtype
        sure = value.complete
        assert value.values.view(np.int64)[sure].tolist() == expected[name].values.view(np.int64)[sure].tolist(), name
        assert [one(each[name]) for each in singly] == [
            one(LiveValue(*(array[at : at + 1] for array in value))) for at in range(len(who))
        ]
        assert set(value.status) >= {KNOWN, TOO_OLD} | ({UNKNOWN} if name not in OWN else set()), name
        assert not value.complete[value.status == TOO_OLD].any()
        assert 5 < sure.sum() < len(who), name


def test_a_request_below_the_look_back_is_too_old_for_every_key(reader: FeatureReader) -> None:
    floor = reader._store.fetch([]).floors["rides"] * SECOND
    for key in (0, 999):
        for time, old in ((floor, False), (floor - 1, True)):
            value = reader.read_one(ASKER | {"rider": key}, time)["rides_5m"]
            assert (value.status.item() == TOO_OLD) == old


def test_empty_and_unknown_have_the_default(reader: FeatureReader) -> None:
    late = END + 300 * MINUTE
    assert one(reader.read_one(ASKER, late)["rides_5m"])[:2] == (0, EMPTY)
    assert one(reader.read_one(ASKER | {"rider": 999}, END)["rides_5m"])[:2] == (0, UNKNOWN)
    assert one(reader.read_one(ASKER | {"rider": 999}, END)["amount_1h"])[:2] == (0.0, UNKNOWN)


def test_a_null_in_the_key_is_unknown_and_complete(reader: FeatureReader) -> None:
    found = reader.read_one(ASKER | {"rider": None}, END)
    assert one(found["rides_5m"]) == (0, UNKNOWN, True)
    assert one(found["rides_area"])[1:] == (KNOWN, False)
    columns = asked([ASKER, ASKER]) | {"rider": pa.array([None, 0], pa.int64())}
    both = reader.read(columns, np.array([END, END]))["rides_5m"]
    assert both.status.tolist() == [UNKNOWN, KNOWN]
    assert both.complete.tolist() == [True, False]


def test_complete_is_what_the_watermark_covers(declaration: Declaration, filled: Place) -> None:
    time = END // SECOND * SECOND + 600 * SECOND
    advance(filled, "rides", time + MINUTE - 1)
    with FeatureReader(declaration, filled.open()) as reader:
        assert not reader.read_one(ASKER, time)["rides_5m"].complete.item()
        advance(filled, "rides", time + MINUTE)  # the lateness
        assert reader.read_one(ASKER, time)["rides_5m"].complete.item()
        assert not reader.read_one(ASKER, time + SECOND)["rides_5m"].complete.item()


def test_each_source_has_a_watermark_of_its_own(declaration: Declaration, filled: Place) -> None:
    time = END + 40 * MINUTE
    with FeatureReader(declaration, filled.open()) as reader:
        for source, done in (("rides", False), ("payments", True)):
            advance(filled, source, time + 5 * MINUTE)
            found = reader.read_one(ASKER, time)
            assert {found[name].complete.item() for name in found if name != PAID} == {True}
            assert found[PAID].complete.item() == done


def test_the_slowest_partition_holds_all_up_unless_the_history_is_further(
    declaration: Declaration, filled: Place
) -> None:
    time = END + 10 * MINUTE
    advance(filled, "rides", time + 5 * MINUTE)
    with FeatureReader(declaration, filled.open()) as reader:
        assert reader.read_one(ASKER, time)["rides_5m"].complete.item()
        advance(filled, "rides", END, "1")
        assert not reader.read_one(ASKER, time)["rides_5m"].complete.item()
        advance(filled, "rides", time + MINUTE + SECOND, HISTORY)
        assert reader.read_one(ASKER, time)["rides_5m"].complete.item()


def test_a_request_is_added_to_its_own_window(reader: FeatureReader) -> None:
    known, unknown = (reader.read_one(ASKER | {"rider": rider}, END) for rider in (0, 999))
    mean, count = known["amount_1h"].values.item(), known["own_count"].values.item()
    assert known["own_sum"].values.item() == pytest.approx(mean * (count - 1) + 12.34)
    assert [one(unknown[name])[:2] for name in OWN[:2]] == [(12.34, KNOWN), (1, KNOWN)]
    assert unknown["own_area"].values.item() > 1
    nothing = reader.read_one(ASKER | {"rider": 999, "amount": None}, END)
    assert [one(nothing[name])[:2] for name in OWN[:2]] == [(0.0, UNKNOWN), (1, KNOWN)]


def test_a_namespace_that_is_not_there(declaration: Declaration, here: Place) -> None:
    with FeatureReader(declaration, here.open()) as reader:
        found = reader.read_one(ASKER, END)
    assert {Status(value.status.item()) for name, value in found.items() if name not in OWN} == {UNKNOWN}
    assert not any(value.complete.item() for value in found.values())
    assert list(Path(here.url.removeprefix("sqlite://")).parent.glob("*.db")) == []


class Interleaved:
    """A store of which the registers and floors are read, then something happens, and then the rows are read."""

    def __init__(self, place: Place, between: Any) -> None:
        self._store = place.open()
        self._between = between

    def fetch(self, rows: Sequence[RowKey]) -> Snapshot:
        before = self._store.fetch([])
        self._between()
        after = self._store.fetch(rows)
        return Snapshot(after.rows, before.registers, before.floors)

    def close(self) -> None:
        self._store.close()


def test_rows_coarsened_since_the_registers_were_read_are_refused(declaration: Declaration, here: Place) -> None:
    half = len(RIDES) // 2
    early = {name: events[: len(events) // 2] for name, events in EVENTS.items()}
    fill(declaration, here, early)
    time = RIDES[half - 1]["taken_in"]

    def go_on() -> None:
        fill(declaration, here, {name: events[len(events) // 2 :] for name, events in EVENTS.items()})

    with FeatureReader(declaration, Interleaved(here, go_on)) as reader:  # type: ignore[arg-type]
        found = reader.read_one(ASKER, time)
    expected = by_batch(declaration, EVENTS, asked([ASKER]), np.array([time]))
    assert found["rides_5m"].status.item() == TOO_OLD
    for name, value in found.items():
        assert not value.complete.item() or value.values.item() == expected[name].values.item()


def test_threads_share_a_reader(reader: FeatureReader) -> None:
    expected = [one(reader.read_one(ASKER | {"rider": rider}, END)["amount_1h"]) for rider in range(40)]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        for _ in range(5):
            found = threads.map(lambda rider: reader.read_one(ASKER | {"rider": rider}, END)["amount_1h"], range(40))
            assert [one(value) for value in found] == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rider": "0"}, "column rider of a request: read '0'; accepted: a whole number below 2"),
        ({"rider": True}, "column rider of a request: read True; accepted: a whole number below 2"),
        ({"rider": 2**63}, "column rider of a request: read 9223372036854775808; accepted: a whole number below 2"),
        ({"rider": 1.0}, "column rider of a request: read 1.0; accepted: a whole number below 2"),
        ({"area": 7}, "column area of a request: read 7; accepted: UTF-8 text"),
        ({"area": "\ud800"}, "column area of a request: read '.ud800'; accepted: UTF-8 text"),
        ({"amount": 1e17}, "column amount of a request: read 1e.17; accepted: less than 2.53 in units of 1/100"),
        ({"amount": "1"}, "column amount of a request: read '1'; accepted: a finite number"),
    ],
)
def test_a_value_that_does_not_fit(reader: FeatureReader, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        reader.read_one(ASKER | change, END)


def test_whole_numbers_are_numbers(reader: FeatureReader) -> None:
    assert reader.read_one(ASKER | {"rider": 999, "amount": 3}, END)["own_sum"].values.item() == 3.0


@pytest.mark.parametrize(
    ("change", "times", "message"),
    [
        ({"rider": None}, None, "column rider of requests is missing; needed are amount, area, rider."),
        ({"rider": pa.array(["0"])}, None, "column rider of requests: read string; accepted: int64."),
        ({"rider": pa.array([0, 1])}, None, "column rider of requests: 2 values for 1 times."),
        ({}, np.array([1.0]), r"times of requests: read float64 of shape \(1,\); accepted: one int64 each."),
    ],
)
def test_columns_that_do_not_fit(
    reader: FeatureReader, change: dict[str, Any], times: np.ndarray | None, message: str
) -> None:
    columns = {name: column for name, column in (asked([ASKER]) | change).items() if column is not None}
    with pytest.raises(InputError, match=message):
        reader.read(columns, np.array([END]) if times is None else times)


def test_a_column_that_is_missing_from_one_request(reader: FeatureReader) -> None:
    with pytest.raises(InputError, match="column rider of requests is missing; needed are amount, area, rider"):
        reader.read_one({"area": "area 0", "amount": 1.0}, END)


def test_no_requests(reader: FeatureReader) -> None:
    assert {len(value.values) for value in reader.read(asked([]), np.empty(0, np.int64)).values()} == {0}


def test_a_store_that_is_down_is_said_at_once(declaration: Declaration) -> None:
    with (
        FeatureReader.open(declaration, f"redis://127.0.0.1:{free_port()}/0") as reader,
        pytest.raises(StoreUnavailable, match="Look whether the server is up"),
    ):
        reader.read_one(ASKER, END)


def test_one_look_at_the_store_a_call(reader: FeatureReader, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    fetch = SqliteStore.fetch

    def counted(self: SqliteStore, rows: Sequence[RowKey]) -> Snapshot:
        looks.append(len(rows))
        return fetch(self, rows)

    monkeypatch.setattr(SqliteStore, "fetch", counted)
    reader.read_one(ASKER, END)
    reader.read(asked(RIDES[:100]), np.full(100, END))
    assert len(looks) == 2
    assert looks[0] == 3  # two entities of rides, one of payments


def test_a_feature_that_counts_the_request_itself_needs_a_column_to_count(declaration: Declaration) -> None:
    assert {e.name: included_columns(e) for e in entities(declaration)} == {
        "rides/rider": ["amount"],
        "rides/area": ["area"],
        "payments/area": [],
    }
