"""An explained value is the backfill's, bit for bit, and beside it stands what an online row holds."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modules.kernel.bits import bits
from modules.spec import Declaration, InputError
from pipeline.ingest.files import InputFile
from pipeline.jobs.backfill import backfill
from pipeline.jobs.bootstrap import bootstrap
from pipeline.jobs.explain import NEAREST, Event, Explained, asked_columns, explain
from pipeline.jobs.named_value import command, read_request
from pipeline.live.place import Place
from tests.pipeline.jobs.rides import RIDES, START, declare, make, read, write

MORE = """\
    paid_least: {source: payments, key: [cab], aggregation: min, value: amount, scale: 1000, default: -2, window: 1d}
    cheap_sum: {source: rides, key: [zone, cab], aggregation: sum, value: fare, scale: 100, window: 6h, delay: 30m,
                filter: [{column: fare, below: 10}]}
label:"""
S = 1_000_000
NOON = (START + 20 * 3600) * S


@dataclasses.dataclass(frozen=True)
class Rides:
    declaration: Declaration
    directory: Path
    files: list[tuple[str, InputFile]]
    rows: list[dict[str, Any]]
    """The backfill's."""


@pytest.fixture(scope="module")
def rides(tmp_path_factory: pytest.TempPathFactory) -> Rides:
    directory = tmp_path_factory.mktemp("rides")
    declaration, made = declare(directory, text=RIDES.replace("label:", MORE)), make(1)
    paths = {
        "rides": write(directory / "rides.csv", made.rides),
        "payments": write(directory / "payments.jsonl", made.payments),
    }
    backfill(declaration, {name: [str(path)] for name, path in paths.items()}, None, directory / "out", shards=1)
    files = [(name, InputFile(str(path), path.suffix[1:])) for name, path in paths.items()]
    return Rides(declaration, directory, files, read(directory / "out"))


def test_an_explained_value_is_the_backfills_bit_for_bit(rides: Rides) -> None:
    aggregations = set()
    for number, row in enumerate(rides.rows[:20]):
        time = int(row["at"].timestamp()) * S
        for at, (name, feature) in enumerate(rides.declaration.live_features.items()):
            if (number + at) % 3:  # a third of all pairs
                continue
            aggregations.add(feature.aggregation)
            request = {column: row[column] for column in asked_columns(rides.declaration, name)}
            found = explain(rides.declaration, name, request, time, rides.files)
            kind = np.int64 if feature.dtype == "int" else np.float64
            assert (found.bits, found.value) == (bits(kind(row[name])), row[name]), (name, request)
    assert len(aggregations) == 9


def test_what_a_command_line_says_is_the_request(rides: Rides) -> None:
    """Also of values with commas, blanks and quotes; all that is null, and the text that is empty."""
    for zone in ("ring, east", "", None, 'say "b"', "x=1", "north,cabin=2"):
        request = {"zone": zone, "cab": -3}
        line = command("cheap_here", request, NOON)
        assert line.startswith("twinbeam explain cheap_here ")
        assert line.endswith(" 2014-05-14T12:53:20Z")
        given = [f"{k}={v}" for k, v in (("zone", '""' if zone == "" else zone or ""), ("cab", "-3"))]
        assert read_request(rides.declaration, "cheap_here", given) == request
        assert read_request(rides.declaration, "cheap_here", [",".join(given)]) == request


def _events(directory: Path, *payments: dict[str, Any]) -> list[tuple[str, InputFile]]:
    """Payments of cab 1, each an hour before noon unless it says otherwise."""
    rows = [
        {"paid": NOON // 1000 - 3_600_000, "logged": None, "cab": 1, "number": number, "amount": 2.5, "kind": "card",
         "memo": ""} | payment for number, payment in enumerate(payments)
    ]  # fmt: skip
    return [("payments", InputFile(str(write(directory / "payments.jsonl", rows)), "jsonl"))]


HOUR = 3_600_000
AN_HOUR_AGO = NOON // 1000 - HOUR


@pytest.mark.parametrize(
    ("payment", "reason"),
    [
        ({}, "in"),
        ({"paid": AN_HOUR_AGO + HOUR - 1}, "in"),
        ({"paid": AN_HOUR_AGO - 2 * HOUR}, "in"),  # the first tick of the window
        ({"paid": AN_HOUR_AGO - 2 * HOUR - 60_000}, "too old"),  # the far edge moves by a minute
        ({"paid": AN_HOUR_AGO + HOUR}, "own tick"),
        ({"paid": AN_HOUR_AGO + HOUR + 1000}, "too new"),
        ({"kind": "token"}, "filtered"),
        ({"kind": None}, "filtered"),
        ({"amount": None}, "null value"),
        ({"logged": AN_HOUR_AGO + 600_000}, "in"),
        ({"logged": AN_HOUR_AGO + 600_001}, "late"),
        ({"logged": AN_HOUR_AGO - 5_001}, "future"),
        ({"amount": 1e300}, "value"),
        ({"number": 1.5}, "schema"),
        ({"paid": None}, "schema"),
    ],
)
def test_why_an_event_is_in_or_out(tmp_path: Path, payment: dict[str, Any], reason: str) -> None:
    files = _events(tmp_path, payment, {"cab": 2}, {"cab": None})
    found = explain(declare(tmp_path), "paid_most", {"cab": 1}, NOON, files)
    assert (found.read, found.of_key) == (3, 1)
    assert found.counts == ({"in": 1} if reason == "in" else {"in": 0, reason: 1})
    [event] = found.events if reason == "in" else found.out[reason]
    assert (event.path, event.row) == (files[0][1].path, 1)
    assert found.value == (2.5 if reason == "in" else -2)
    assert found.empty == (reason != "in")


def test_the_nearest_of_each_reason_and_what_is_in_by_time(tmp_path: Path) -> None:
    old = [{"paid": AN_HOUR_AGO - (3 + hours) * HOUR} for hours in range(9)]
    again = {"paid": AN_HOUR_AGO + 7, "number": 77, "amount": 3.0}
    found = explain(declare(tmp_path), "paid_most", {"cab": 1}, NOON, _events(tmp_path, *old, again, {}, again))
    assert found.counts == {"in": 2, "too old": 9, "duplicate": 1}
    assert [event.row for event in found.out["too old"]] == list(range(1, NEAREST + 1))
    assert [event.row for event in found.out["duplicate"]] == [12]
    assert [event.row for event in found.events] == [11, 10]
    assert found.events[1] == Event(
        (AN_HOUR_AGO + 7) * 1000,
        found.files[0],
        10,
        {"logged": None, "number": 77, "amount": 3.0, "kind": "card"},
        (3000,),
    )
    assert found.held.sums == ({"max": 3000},)


def test_the_request_is_one_more_event(tmp_path: Path) -> None:
    declaration = declare(tmp_path)
    file = write(tmp_path / "rides.jsonl", [
        {"at": START, "cab": 1, "zone": "north", "fare": 2.25, "note": None, "tip": 0.0, "big": 0}
    ])  # fmt: skip
    files = [("rides", InputFile(str(file), "jsonl"))]
    found = explain(declaration, "fare_now", {"cab": 1, "fare": 1.5}, (START + 60) * S, files)
    assert (found.value, found.includes_request, found.held.events) == (3.75, True, 1)
    assert found.held.sums == ({"count": 2, "sum": 375},)
    nobody = explain(declaration, "fare_now", {"cab": None, "fare": 1.5}, (START + 60) * S, files)
    assert (nobody.value, nobody.empty, nobody.includes_request, nobody.of_key) == (0.0, True, False, 0)
    with pytest.raises(InputError, match=r"fare=1e\+300: accepted: less than 2\^53 in units of 1/100"):
        explain(declaration, "fare_now", {"cab": 1, "fare": 1e300}, START * S, files)


@pytest.fixture(scope="module")
def store(rides: Rides) -> str:
    """The same events, merged."""
    url = f"sqlite://{rides.directory}/rows.db"
    place = Place(url, rides.declaration.features_fingerprint)
    paths = {name: [file.path] for name, file in rides.files}
    bootstrap(rides.declaration, paths, None, place, str(rides.directory / "letters"), 50)
    return url


def _beside(rides: Rides, store: str, name: str, request: dict[str, Any], time: int) -> Explained:
    return explain(rides.declaration, name, request, time, rides.files, store)


def test_the_online_row_of_the_same_window(rides: Rides, store: str) -> None:
    late = (START + 30 * 3600) * S
    for name, feature in rides.declaration.live_features.items():
        request = {"zone": "north", "cab": 1, "fare": 1.5}
        request = {column: request[column] for column in asked_columns(rides.declaration, name)}
        found = _beside(rides, store, name, request, late)
        row = found.online
        assert row is not None
        assert (row.bits, row.status) == (found.bits, "empty" if found.empty else "known")
        assert row.held.sums == found.held.sums, name
        assert row.held.events == found.held.events
        assert (row.held.events is None) == (feature.aggregation in ("approx_distinct",)) or feature.aggregation in (
            "last", "max", "min", "ratio",
        )  # fmt: skip


def test_a_row_that_lacks_an_event_shows_it(rides: Rides, store: str, tmp_path: Path) -> None:
    paid = (START + 29 * 3600) * 1000
    more = {"paid": paid, "logged": None, "cab": 1, "number": 9_999, "amount": 1.0, "kind": "card", "memo": ""}
    extra = ("payments", InputFile(str(write(tmp_path / "more.jsonl", [more])), "jsonl"))
    found = explain(rides.declaration, "paid_least", {"cab": 1}, (START + 30 * 3600) * S, [*rides.files, extra], store)
    assert found.online is not None
    assert len(found.held.starts) == len(found.online.held.starts) + 1
    assert found.counts["in"] > 1


def test_a_key_that_the_store_does_not_know(rides: Rides, store: str) -> None:
    found = _beside(rides, store, "rides_1h", {"cab": 987}, (START + 30 * 3600) * S)
    assert found.online is not None
    assert (found.online.status, found.online.value, len(found.online.held.starts)) == ("unknown", 0, 0)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "payments.parquet"
    path.write_text("no")
    with pytest.raises(InputError, match=r"payments\.parquet"):
        explain(declare(tmp_path), "paid_most", {"cab": 1}, NOON, [("payments", InputFile(str(path), "parquet"))])
