"""The backfill's values, beside those of the oracle, whatever the events are written as and however they are spread."""

import random
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modules.live import entities
from modules.spec import InputError
from pipeline.ingest.fingerprint import check
from pipeline.jobs.backfill import backfill
from pipeline.live import backfill as transform
from tests.pipeline.jobs.rides import HOURS, START, declare, make, read, values, write

SUFFIXES = ("csv", "parquet", "jsonl")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_values_are_those_of_the_oracle(tmp_path: Path, suffix: str) -> None:
    declaration, made = declare(tmp_path), make(1)
    rides = write(tmp_path / f"rides.{suffix}", made.rides)
    payments = write(tmp_path / f"payments.{suffix}", made.payments)
    account = backfill(
        declaration, {"rides": [str(rides)], "payments": [str(payments)]}, None, tmp_path / "out", shards=3
    )
    rows = read(tmp_path / "out")
    assert [{name: row[name] for name in declaration.live_features} for row in rows] == values(
        declaration, made, made.rides
    )
    assert account.requests == len(made.rides)
    assert account.events == {"rides": len(made.rides), "payments": len(made.payments)}
    late = sum(p["logged"] is not None and p["logged"] - p["paid"] > 600_000 for p in made.payments)
    future = sum(p["logged"] is not None and p["paid"] - p["logged"] > 5_000 for p in made.payments)
    assert late > 0
    assert future > 0
    assert {r.reason: r.count for r in account.rejections} == {"late": late, "future": future}
    assert account.counted == {"rides": len(made.rides), "payments": len(made.payments) - late - future}
    assert account.repeated["payments/cab"] > 0
    assert account.without_key["rides/cab"] == sum(row["cab"] is None for row in made.rides)
    assert account.without_key["rides/zone,cab"] == sum(None in (row["cab"], row["zone"]) for row in made.rides)


def test_requests_of_their_own_are_answered_and_keep_their_columns(tmp_path: Path) -> None:
    declaration, made = declare(tmp_path), make(2)
    asked = make(3, rides=40).rides
    asked.append({**asked[0], "at": START - 10, "cab": 1})  # before all events
    asked.append({**asked[1], "cab": 987_654})  # of a cab without any
    write(tmp_path / "rides.parquet", made.rides)
    write(tmp_path / "payments.parquet", made.payments)
    write(tmp_path / "asked.jsonl", asked)
    backfill(
        declaration,
        {"rides": [str(tmp_path / "rides.parquet")], "payments": [str(tmp_path / "payments.parquet")]},
        str(tmp_path / "asked.jsonl"),
        tmp_path / "out",
    )
    rows = read(tmp_path / "out")
    assert [{name: row[name] for name in declaration.live_features} for row in rows] == values(declaration, made, asked)
    assert [{**row, "at": int(row["at"].timestamp())} for row in rows] == [
        {**request, **{n: row[n] for n in declaration.live_features}, "row_id": row["row_id"]}
        for request, row in zip(asked, rows, strict=True)
    ]
    assert len({row["row_id"] for row in rows}) == len(asked)
    schema = pq.read_schema(tmp_path / "out" / "part-00000-00000.parquet")
    types = {name: schema.field(name).type for name in declaration.live_features}
    assert types == {
        name: pa.int64() if feature.dtype == "int" else pa.float64()
        for name, feature in declaration.live_features.items()
    }


def test_neither_files_nor_order_nor_shards_nor_blocks_change_a_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declaration, made = declare(tmp_path), make(4)
    write(tmp_path / "whole" / "rides.parquet", made.rides)
    write(tmp_path / "whole" / "payments.parquet", made.payments)
    shuffled = list(made.rides)
    random.Random(1).shuffle(shuffled)
    for number, suffix in enumerate(SUFFIXES):
        write(tmp_path / "parts" / "rides" / f"{number}.{suffix}", shuffled[number::3])
        write(tmp_path / "parts" / f"payments-{number}.{suffix}", made.payments[number::3])
    write(tmp_path / "asked.csv", made.rides)
    asked = str(tmp_path / "asked.csv")

    def run(name: str, rides: list[str], payments: list[str], shards: int) -> list[Path]:
        backfill(declaration, {"rides": rides, "payments": payments}, asked, tmp_path / name, shards)
        return sorted((tmp_path / name).iterdir())

    whole = [str(tmp_path / "whole" / f"{name}.parquet") for name in ("rides", "payments")]
    first = run("one", [whole[0]], [whole[1]], 1)
    assert len(first) == 1
    parts = str(tmp_path / "parts" / "payments-[01].*"), str(tmp_path / "parts" / "payments-2.jsonl")
    again = run("seven", [str(tmp_path / "parts" / "rides")], list(parts), 7)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in first]
    monkeypatch.setattr(transform, "BLOCK_ROWS", 13)
    monkeypatch.setattr(transform, "_ANSWERED_AT_ONCE", 5)
    blocks = run("blocks", [whole[0]], [whole[1]], 3)
    assert len(blocks) == -(-len(made.rides) // 13)
    assert read(tmp_path / "blocks") == read(tmp_path / "one")


def test_one_cab_with_half_of_the_rides(tmp_path: Path) -> None:
    declaration, made = declare(tmp_path), make(5, cabs=40)
    for row in made.rides[::2]:
        row["cab"] = 7
    rides = write(tmp_path / "rides.parquet", made.rides)
    payments = write(tmp_path / "payments.parquet", made.payments)
    backfill(declaration, {"rides": [str(rides)], "payments": [str(payments)]}, None, tmp_path / "out", shards=5)
    rows = read(tmp_path / "out")
    assert [{name: row[name] for name in declaration.live_features} for row in rows] == values(
        declaration, made, made.rides
    )


def test_a_repeated_event_counts_once(tmp_path: Path) -> None:
    declaration, made = declare(tmp_path), make(6)
    ride = {"at": START + 100, "cab": 1, "zone": "north", "fare": 5.0, "note": "n", "tip": 1.0, "big": 0}
    write(tmp_path / "a" / "rides.csv", [ride, ride])
    write(tmp_path / "a" / "more.parquet", [ride])
    write(tmp_path / "payments.parquet", made.payments)
    write(tmp_path / "asked.csv", [{**ride, "at": START + 200}])
    events = {"rides": [str(tmp_path / "a")], "payments": [str(tmp_path / "payments.parquet")]}
    account = backfill(declaration, events, str(tmp_path / "asked.csv"), tmp_path / "out")
    assert read(tmp_path / "out")[0]["rides_1h"] == 1
    assert account.repeated["rides/cab"] == 2


def test_no_event_at_all(tmp_path: Path) -> None:
    declaration, made = declare(tmp_path), make(7)
    write(tmp_path / "rides.csv", made.rides)
    (tmp_path / "payments.csv").write_text("paid,logged,cab,number,amount,kind,memo\n")
    (tmp_path / "none.csv").write_text(",".join(made.rides[0]) + "\n")
    events = {"rides": [str(tmp_path / "none.csv")], "payments": [str(tmp_path / "payments.csv")]}
    account = backfill(declaration, events, str(tmp_path / "rides.csv"), tmp_path / "out")
    assert account.events == {"rides": 0, "payments": 0}
    made.payments.clear()
    asked, made.rides = made.rides, []
    rows = read(tmp_path / "out")
    assert [{name: row[name] for name in declaration.live_features} for row in rows] == values(declaration, made, asked)


def test_sources_that_are_left_out_are_where_the_declaration_says(tmp_path: Path) -> None:
    made = make(8, rides=30)
    write(tmp_path / "rides.parquet", made.rides)
    write(tmp_path / "payments.jsonl", made.payments)
    declaration = declare(
        tmp_path, f"data={tmp_path}/rides.parquet", f"live.sources.payments.batch={tmp_path}/payments.jsonl"
    )
    backfill(declaration, {}, None, tmp_path / "out")
    rows = read(tmp_path / "out")
    assert [{name: row[name] for name in declaration.live_features} for row in rows] == values(
        declaration, made, made.rides
    )


def test_the_id_is_the_column_that_is_declared_as_one(tmp_path: Path) -> None:
    declaration, made = declare(tmp_path, "columns.note.role=id"), make(9, rides=10)
    for number, row in enumerate(made.rides):
        row["note"] = f"ride {number}"
    write(tmp_path / "rides.csv", made.rides)
    write(tmp_path / "payments.csv", made.payments)
    events = {name: [str(tmp_path / f"{name}.csv")] for name in ("rides", "payments")}
    backfill(declaration, events, None, tmp_path / "out")
    rows = read(tmp_path / "out")
    assert [row["note"] for row in rows] == [row["note"] for row in made.rides]
    assert "row_id" not in rows[0]


def test_the_output_names_the_features_it_was_made_for(tmp_path: Path) -> None:
    declaration, made = declare(tmp_path), make(10, rides=10)
    write(tmp_path / "rides.csv", made.rides)
    write(tmp_path / "payments.csv", made.payments)
    events = {name: [str(tmp_path / f"{name}.csv")] for name in ("rides", "payments")}
    backfill(declaration, events, None, tmp_path / "out")
    schema = pq.read_schema(tmp_path / "out" / "part-00000-00000.parquet")
    assert schema.metadata[b"twinbeam.features"].decode() == declaration.features_fingerprint
    check("part", schema, declaration)
    other = declare(tmp_path / "other", f"live.features.rides_1h.window={HOURS}h")
    with pytest.raises(InputError, match=r"part: its live features have the fingerprint .* Write it again"):
        check("part", schema, other)
    with pytest.raises(InputError, match=r"plain: holds no fingerprint of live features"):
        check("plain", pa.schema([("at", pa.int64())]), declaration)


def test_what_is_grouped_is_paths_and_not_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declaration, made = declare(tmp_path), make(11, rides=400)
    file = write(tmp_path / "rides.parquet", made.rides)
    payments = write(tmp_path / "payments.csv", made.payments)
    grouped.clear()
    monkeypatch.setattr(beam, "CoGroupByKey", _Watched)
    backfill(declaration, {"rides": [str(file)], "payments": [str(payments)]}, None, tmp_path / "out", shards=2)
    shards, files = 2 * len(entities(declaration)), 1
    assert len(grouped) == shards + shards + files + shards  # of events and requests; of requests and their values
    for (first, second), path in grouped:
        assert isinstance(first, int)
        assert isinstance(second, int)
        assert path.endswith(".arrow")


grouped: list[Any] = []
"""What went into groupings, as workers of the same process note it."""


class _Watched(beam.CoGroupByKey):
    def expand(self, pcolls: Any) -> Any:
        for name, pcoll in pcolls.items():
            _ = pcoll | f"Watch {name}" >> beam.Map(_note)
        return super().expand(pcolls)


def _note(element: Any) -> None:
    grouped.append(element)


def test_a_file_of_which_nothing_counts(tmp_path: Path) -> None:
    """No event with a key in one file, none with a time in another."""
    declaration, made = declare(tmp_path), make(1, rides=20)
    rides = write(tmp_path / "rides.jsonl", made.rides)
    write(tmp_path / "payments-1.csv", [{**payment, "cab": None} for payment in made.payments])
    write(tmp_path / "payments-2.csv", [{**payment, "paid": "never"} for payment in made.payments])
    events = {"rides": [str(rides)], "payments": [f"{tmp_path}/payments-?.csv"]}
    account = backfill(declaration, events, None, tmp_path / "out")
    assert account.requests == 20
    assert {row["paid_last"] for row in read(tmp_path / "out")} == {-2.0}
