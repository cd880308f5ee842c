import csv
import dataclasses
import json
import pickle
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modules.spec import InputError, Typed
from pipeline.sources import recorded
from pipeline.sources.recorded import Recorded, RecordedPartition
from pipeline.sources.source import EARLIEST, EventBatch
from pipeline.sources.urls import open_source

COLUMNS = {
    "id": Typed(type="int"),
    "at": Typed(type="timestamp", unit="us"),
    "logged": Typed(type="timestamp", unit="us"),
}
S = 1_000_000


def source(path: Path | str, options: str = "", ingest_time: str | None = "logged") -> Recorded:
    opened = open_source("trips", f"file://{path}{options and '?' + options}", COLUMNS, "at", ingest_time)
    assert isinstance(opened, Recorded)
    return opened


def opened(path: Path | str, options: str = "", position: int = 0, ingest_time: str | None = "logged") -> Any:
    return source(path, options, ingest_time).open("files", position)


def written(path: Path, rows: list[tuple[Any, ...]], names: tuple[str, ...] = ("id", "at", "logged")) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return path


def drained(partition: RecordedPartition, size: int = 1000) -> list[EventBatch]:
    batches = []
    while (batch := partition.poll(size)) is not None:
        batches.append(batch)
        assert len(batch.rows) + len(batch.broken) <= size
    return batches


def ids(batches: list[EventBatch]) -> list[int]:
    return [int(value) for batch in batches for value in batch.rows["id"].to_pylist()]


def ingests(batches: list[EventBatch]) -> list[int]:
    return [int(value) for batch in batches if batch.ingest is not None for value in batch.ingest]


def test_events_come_in_the_order_of_their_ingest_time_else_of_their_own(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", [(1, 50, 90), (2, 70, ""), (3, 60, 80), (4, 60, 80)])
    [batch] = drained(opened(path))
    assert ids([batch]) == [2, 3, 4, 1]
    assert ingests([batch]) == [70, 80, 80, 90]
    assert (batch.watermark, batch.position, batch.partition, batch.source) == (91, 4, "files", "trips")
    [batch] = drained(opened(path, ingest_time=None))
    assert ids([batch]) == [1, 3, 4, 2]
    assert batch.ingest is None  # nothing is known of it
    assert batch.watermark == 71


def test_files_of_all_formats_in_one_directory_are_one_recording(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", [(1, 10, 10), (2, 40, "")])
    pq.write_table(
        pa.table({"id": [3], "at": pa.array([20], pa.timestamp("us", "UTC")), "logged": [20], "more": ["x"]}),
        tmp_path / "b.parquet",
    )
    (tmp_path / "c.jsonl").write_text('{"id": 4, "at": 30, "more": {}}\n\n{"id": "5", "at": 50}\n')
    batches = drained(opened(tmp_path))
    assert ids(batches) == [1, 3, 4, 2, 5]
    assert ingests(batches) == [10, 20, 30, 40, 50]


def test_a_parquet_file_keeps_its_types(tmp_path: Path) -> None:
    table = pa.table({"id": pa.array([2, 1], pa.int32()), "at": [20, 10], "logged": pa.nulls(2), "more": ["x", "y"]})
    pq.write_table(table, tmp_path / "b.parquet")
    [batch] = drained(opened(tmp_path))
    assert batch.rows.schema.names == list(COLUMNS)
    assert batch.rows["id"].type == pa.int32()
    assert ids([batch]) == [1, 2]


def test_nan_is_null_beside_files_of_another_type(tmp_path: Path) -> None:
    for name, values in (("a", [10, 20]), ("b", [30.0, float("nan")])):
        pq.write_table(pa.table({"id": [1, 2], "at": values, "logged": [40, 50]}), tmp_path / f"{name}.parquet")
    [batch] = drained(opened(tmp_path))
    assert sorted(batch.rows["at"].to_pylist(), key=str) == ["10", "20", "30", None]


@pytest.mark.parametrize(
    ("rows", "order"),
    [
        ([(1, 10), (2, "?"), (3, 30)], [1, 2, 3]),  # as the one before
        ([(1, 30), (2, "?"), (3, 10)], [3, 1, 2]),
        ([(1, "?"), (2, ""), (3, 20), (4, 10)], [4, 1, 2, 3]),  # as the first that has one
        ([(1, "?"), (2, "?")], [1, 2]),
    ],
)
def test_rows_without_a_readable_time_are_given_beside_their_neighbours(
    tmp_path: Path, rows: list[tuple[Any, ...]], order: list[int]
) -> None:
    written(tmp_path / "f.csv", rows, ("id", "at"))
    found = open_source("s", f"file://{tmp_path}", {"id": COLUMNS["id"], "at": COLUMNS["at"]}, "at", None)
    batches = []
    with found.open("files", 0) as partition:
        while (batch := partition.poll(1)) is not None:
            batches.append(batch)
    assert ids(batches) == order


def test_rows_that_cannot_be_split_are_given_beside_their_neighbours(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("id,at,logged\n0\n1,10,10\n2,5,5\n2,5\n3,20,20\n4,20\n")
    batches = drained(opened(tmp_path), 1)
    given: list[list[Any]] = [
        ids([batch]) or [(broken.payload, broken.ingest) for broken in batch.broken] for batch in batches
    ]
    assert given == [[2], [(b"2,5", 5)], [(b"0", 10)], [1], [3], [(b"4,20", 20)]]
    assert [batch.position for batch in batches] == [1, 2, 3, 4, 5, 6]
    assert batches[1].broken[0].reason == (
        "a row of another number of fields than the header; fields with commas need quotes"
    )


def test_lines_that_are_not_json_are_given_beside_their_neighbours(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_bytes(
        b'\xef\xbb\xbf{"id": 1, "at": 10, "logged": null}\r\n{"id": 2,\n{"id": 3, "at": 5}'
    )
    batches = drained(opened(tmp_path), 1)
    assert [ids([batch]) or batch.broken[0].payload for batch in batches] == [[3], [1], b'{"id": 2,']
    assert batches[2].broken[0].reason.startswith("not JSON: ")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.csv", "id,at\n1,2\n", r"f\.csv: the column logged is missing; found id, at\."),
        ("f.jsonl", '{"id": 1, "at": 2}\n', r"f\.jsonl: the column logged is missing in every row of every file\."),
        ("f.csv", "id,at,logged,id\n1,2,3,4\n", r"f\.csv: the column id is there twice\."),
        ("f.parquet", "no", r"f\.parquet: cannot be read as parquet: "),
        ("f.txt", "no", r": the directory holds no file ending in \.csv"),
    ],
)
def test_a_file_that_is_not_as_declared(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    if name == "f.jsonl":
        with pytest.raises(InputError, match=message):
            drained(opened(tmp_path))
        (tmp_path / "g.jsonl").write_text('{"logged": null}\n')
        assert len(drained(opened(tmp_path))) == 1
    else:
        with pytest.raises(InputError, match=message):
            drained(opened(tmp_path))


def test_a_time_of_a_type_that_is_none_names_the_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1], "at": [True], "logged": [1]}), tmp_path / "f.parquet")
    partition = opened(tmp_path)
    for _ in range(2):  # it has not ended
        with pytest.raises(
            InputError, match=r"/f\.parquet: column at is retyped: read bool; accepted: a whole number of "
        ):
            partition.poll(1)


def test_a_recording_without_events_ends_at_once(tmp_path: Path) -> None:
    partition = opened(written(tmp_path / "f.csv", []))
    assert partition.poll(10) is None
    assert partition.poll(10) is None


def test_a_recording_that_lost_files_is_not_continued(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", [(1, 1, 1)])
    assert drained(opened(path, position=1)) == []
    with pytest.raises(
        InputError, match=r"f\.csv: holds 1 events, but 2 of source trips were read before: .* Put them"
    ):
        opened(path, position=2)


def test_a_source_can_be_pickled(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", [(1, 1, 1)])
    copy = pickle.loads(pickle.dumps(source(path, "shuffle=1s")))
    assert copy == source(path, "shuffle=1s")
    assert copy.partitions() == ["files"]
    assert ids(drained(copy.open("files", 0))) == [1]


def test_percent_signs_stand_for_characters(tmp_path: Path) -> None:
    (tmp_path / "a?b%").mkdir()
    written(tmp_path / "a?b%" / "f.csv", [(1, 1, 1)])
    assert ids(drained(opened(f"{tmp_path}/a%3Fb%25/*.csv"))) == [1]


# Order, shuffling, duplicates and delays.

TIMES = st.lists(st.integers(0, 40), min_size=1, max_size=30)
OPTIONS = st.fixed_dictionaries(
    {
        "shuffle": st.sampled_from(["0s", "1s", "8s"]),
        "delay": st.sampled_from(["0s", "3s"]),
        "duplicates": st.sampled_from([0, 0.4, 1]),
        "seed": st.integers(0, 3),
    }
)


DENSE: tuple[list[int], dict[str, Any]] = (
    list(range(40)),
    {"shuffle": "8s", "delay": "0s", "duplicates": 1, "seed": 1},
)
"""Where every bound is met."""


def recording(directory: Path, times: list[int]) -> Path:
    return written(directory / "f.csv", [(index, at * S, at * S) for index, at in enumerate(times)])


def query(options: dict[str, Any]) -> str:
    return "&".join(f"{name}={value}" for name, value in options.items())


def micros(options: dict[str, Any], name: str) -> int:
    return int(options[name][:-1]) * S


@settings(max_examples=40)
@given(TIMES, OPTIONS, st.integers(1, 10))
@example(*DENSE, 1)
def test_every_event_is_given_within_its_bounds(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], options: dict[str, Any], size: int
) -> None:
    path = recording(tmp_path_factory.mktemp("events"), times)
    batches = drained(opened(path, query(options)), size)
    given_ids, given_at = ids(batches), ingests(batches)
    counts = Counter(given_ids)
    assert set(counts) == set(range(len(times)))
    assert set(counts.values()) <= {1 if options["duplicates"] < 1 else 2, 1 if options["duplicates"] == 0 else 2}
    shuffle = micros(options, "shuffle")
    for nth, (event, at) in enumerate(zip(given_ids, given_at, strict=True)):
        assert 0 <= at - times[event] * S <= micros(options, "delay")
        assert max(given_at[: nth + 1]) - at <= shuffle
        assert at - min(given_at[nth:]) <= shuffle
    if not shuffle:
        assert given_at == sorted(given_at)
        for event, count in counts.items():
            first = given_ids.index(event)
            assert given_ids[first : first + count] == [event] * count  # a duplicate comes right away


@settings(max_examples=40)
@given(TIMES, OPTIONS, st.integers(1, 10))
@example(*DENSE, 1)
def test_the_watermark_is_the_least_ingest_time_to_come(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], options: dict[str, Any], size: int
) -> None:
    batches = drained(opened(recording(tmp_path_factory.mktemp("events"), times), query(options)), size)
    for nth, batch in enumerate(batches):
        to_come = ingests(batches[nth + 1 :])
        assert batch.watermark == (min(to_come) if to_come else max(ingests(batches)) + 1)


@settings(max_examples=40)
@given(TIMES, OPTIONS, st.integers(1, 10), st.data())
def test_from_a_position_on_it_goes_on_identically(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], options: dict[str, Any], size: int, data: st.DataObject
) -> None:
    path = recording(tmp_path_factory.mktemp("events"), times)
    whole = drained(opened(path, query(options)), size)
    stop = data.draw(st.integers(0, len(whole) - 1))
    rest = drained(opened(path, query(options), whole[stop].position), size)
    assert ids(rest) == ids(whole[stop + 1 :])
    assert ingests(rest) == ingests(whole[stop + 1 :])
    assert [batch.watermark for batch in rest] == [batch.watermark for batch in whole[stop + 1 :]]
    assert [batch.position for batch in rest] == [batch.position for batch in whole[stop + 1 :]]


@settings(max_examples=40)
@given(TIMES, OPTIONS, st.integers(1, 10), st.lists(st.integers(0, 50), max_size=5))
@example(*DENSE, 1, [10, 20])
def test_pausing_gives_exactly_what_was_ingested_before(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], options: dict[str, Any], size: int, pauses: list[int]
) -> None:
    path = recording(tmp_path_factory.mktemp("events"), times)
    whole = drained(opened(path, query(options)))
    partition = opened(path, query(options))
    batches: list[EventBatch] = []
    for pause in sorted(pauses):
        partition.pause_at(pause * S)
        while (batch := partition.poll(size)) is not None:
            batches.append(batch)
            assert len(batch.rows) <= size
            assert batch.watermark <= pause * S
            if batch.watermark == pause * S and not len(batch.rows):
                break
        assert sorted(ingests(batches)) == sorted(at for at in ingests(whole) if at < pause * S)
        if batch is not None:  # opened again there, all that is still to come comes, and maybe some of what has come
            again = Counter(ids(drained(opened(path, query(options), batch.position))))
            assert again >= Counter(ids(whole)) - Counter(ids(batches))
    partition.pause_at(None)
    batches += drained(partition, size)
    assert Counter(ids(batches)) == Counter(ids(whole))
    marks = [batch.watermark for batch in batches]
    assert marks == sorted(marks)
    for nth, batch in enumerate(batches):
        assert batch.watermark <= min(ingests(batches[nth + 1 :]), default=batch.watermark)


def test_a_pause_in_the_past_stops_and_does_not_turn_back(tmp_path: Path) -> None:
    partition = opened(recording(tmp_path, [1, 2, 3]))
    assert partition.poll(2).watermark == 3 * S
    partition.pause_at(1 * S)
    batch = partition.poll(2)
    assert (len(batch.rows), batch.watermark, batch.position) == (0, 3 * S, 2)


def test_chance_depends_on_the_seed(tmp_path: Path) -> None:
    path = recording(tmp_path, [1] * 50)
    orders = {seed: ids(drained(opened(path, f"shuffle=1s&duplicates=0.3&seed={seed}"))) for seed in (0, 1)}
    assert orders[0] != orders[1]
    assert 5 <= len(orders[0]) - 50 <= 25
    assert orders[0] != sorted(orders[0])
    delays = np.array(ingests(drained(opened(path, "delay=1000s")))) - S
    assert 300 * S < delays.mean() < 700 * S
    batches = drained(
        opened(path, "delay=1000s&duplicates=0.5", ingest_time=None)
    )  # a delay makes an ingest time known
    again = [at for event, at in zip(ids(batches), ingests(batches), strict=True) if ids(batches).count(event) == 2]
    assert max(again) > 700 * S  # one chance says nothing of another


# Speed.


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that have passed, in its first place; a nap passes its time."""
    now = [100.0]

    @dataclasses.dataclass
    class Time:
        def monotonic(self) -> float:
            return now[0]

        def sleep(self, seconds: float) -> None:
            now[0] += seconds

    monkeypatch.setattr(recorded, "time", Time())
    return now


def test_events_come_no_earlier_than_the_speed_allows(tmp_path: Path, clock: list[float]) -> None:
    partition = opened(recording(tmp_path, [5, 25, 26, 45]), "speed=10")
    seen = []
    while (batch := partition.poll(10)) is not None:
        if len(batch.rows):
            seen.append((round(clock[0] - 100, 1), ids([batch])))
        elif seen:
            assert batch.watermark <= 5 * S + round((clock[0] - 100) * 10 * S)
    assert seen == [(0.0, [0]), (2.0, [1]), (2.1, [2]), (4.0, [3])]


def test_times_and_options_at_their_limits_do_not_overflow(tmp_path: Path, clock: list[float]) -> None:
    written(tmp_path / "f.csv", [(1, -62135596800000000, ""), (2, 253402300799999999, "")])
    assert sorted(ids(drained(opened(tmp_path, "shuffle=10000d&delay=10000d&duplicates=1&speed=1e300")))) == [
        1,
        1,
        2,
        2,
    ]


def test_a_poll_that_waits_for_the_clock_is_short(tmp_path: Path) -> None:
    partition = opened(recording(tmp_path, [0, 1000]), "speed=1")
    assert ids([partition.poll(10)]) == [0]
    began = time.monotonic()
    batch = partition.poll(10)
    assert time.monotonic() - began < 0.5
    assert len(batch.rows) == 0
    assert 0 <= batch.watermark < 2 * S


# Starting at a time.

SINCE = "since=1970-01-01T00:00:20Z"


def test_events_before_a_time_are_left_out_and_not_counted(tmp_path: Path) -> None:
    path = written(
        tmp_path / "f.csv", [(0, 50 * S, 19 * S), (1, 0, 20 * S), (2, 19 * S, ""), (3, 20 * S, ""), (4, 60 * S, 60 * S)]
    )
    batches = drained(opened(path, SINCE), 1)
    assert ids(batches) == [1, 3, 4]
    assert [batch.position for batch in batches] == [1, 2, 3]
    assert batches[0].watermark == 20 * S
    assert ids(drained(opened(path, SINCE, position=1))) == [3, 4]
    assert opened(path, "since=1970-01-01T00:01:01Z").poll(10) is None
    assert ids(drained(opened(path, "since=1970-01-01T01:00:20%2B01:00"))) == [1, 3, 4]


def test_what_is_broken_is_left_out_like_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("id,at,logged\n1,1,1\nbroken\n2,30000000,\nlate\n")
    batches = drained(opened(tmp_path, SINCE), 1)
    assert [ids([batch]) or batch.broken[0].payload for batch in batches] == [[2], b"late"]


@settings(max_examples=40)
@given(TIMES, OPTIONS, st.integers(1, 10))
def test_what_is_left_out_is_what_a_recording_without_it_would_be(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], options: dict[str, Any], size: int
) -> None:
    directory = tmp_path_factory.mktemp("events")
    some = opened(recording(directory, times), f"{query(options)}&{SINCE}")
    (directory / "less").mkdir()
    rows = [(index, at * S, at * S) for index, at in enumerate(times) if at >= 20]
    batches, less = (
        drained(each, size) for each in (some, opened(written(directory / "less" / "f.csv", rows), query(options)))
    )
    assert ids(batches) == ids(less)
    assert ingests(batches) == ingests(less)
    assert [batch.watermark for batch in batches] == [batch.watermark for batch in less]


def test_the_clock_starts_at_the_time_and_after_a_restart_at_the_next_event(tmp_path: Path, clock: list[float]) -> None:
    path = recording(tmp_path, [5, 25, 40])
    for position, expected in [(0, [(0.5, 1), (2.0, 2)]), (1, [(0.0, 2)])]:
        partition, began, seen = opened(path, f"{SINCE}&speed=10", position), clock[0], []
        while (batch := partition.poll(10)) is not None:
            seen += [(round(clock[0] - began, 1), event) for event in ids([batch])]
        assert seen == expected


# Following a directory.


def test_a_growing_directory(tmp_path: Path) -> None:
    partition = opened(tmp_path, "follow=true")
    batch = partition.poll(10)
    assert (len(batch.rows), batch.watermark, batch.position) == (0, EARLIEST, 0)

    written(tmp_path / "1.csv", [(1, 10, 10), (2, 5, 5)])
    batch = partition.poll(10)
    assert (ids([batch]), batch.watermark, batch.position) == ([2, 1], 10, 2)  # more may come of the last microsecond
    batch = partition.poll(10)
    assert (ids([batch]), batch.watermark, batch.position) == ([], 10, 2)

    written(tmp_path / ".2.csv", [(3, 1, 1)])  # being written
    (tmp_path / "2.csv.part").write_text("id")
    (tmp_path / "2.csv").touch()
    assert ids([partition.poll(10)]) == []
    (tmp_path / ".2.csv").rename(tmp_path / "2.csv")
    written(tmp_path / "3.csv", [(4, 20, 20), (5, 10, 10)])
    batches = [partition.poll(1) for _ in range(4)]
    assert ids(batches) == [3, 5, 4]  # 3 is older than the watermark, and given all the same
    assert [batch.watermark for batch in batches] == [10, 20, 20, 20]
    assert [batch.position for batch in batches] == [3, 4, 5, 5]

    for position in range(6):
        rest = opened(tmp_path, "follow=true", position)
        assert ids([rest.poll(10) for _ in range(4)]) == [2, 1, 3, 5, 4][position:]


def test_a_file_of_a_growing_directory_may_leave_out_a_key(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_text('{"id": 1, "at": 5}\n')
    assert ids([opened(tmp_path, "follow=true").poll(10)]) == [1]


def test_a_file_that_sorts_before_one_that_was_read_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "2.csv", [(1, 10, 10)])
    partition = opened(tmp_path, "follow=true")
    partition.poll(10)
    written(tmp_path / "1.csv", [(2, 20, 20)])
    with pytest.raises(
        InputError, match=r"/1\.csv: came after .*/2\.csv was read, which sorts behind it; .* Rename it"
    ):
        partition.poll(10)
    (tmp_path / "1.csv").rename(tmp_path / "3.csv")
    assert ids([partition.poll(10)]) == [2]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"2\.csv: no such file or directory\. Name .* with --source \[SOURCE=\]URL"):
        drained(opened(tmp_path / "2.csv"))


def test_only_a_directory_can_grow(tmp_path: Path) -> None:
    path = written(tmp_path / "2.csv", [])
    with pytest.raises(InputError, match=r"2\.csv: with follow=true a directory is read; there is none\."):
        opened(path, "follow=true").poll(1)


# Options.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "shufle=1s",
            "the option 'shufle' is not known; accepted: shuffle, duplicates, delay, seed, speed, since, follow.",
        ),
        ("shuffle=5", "the option shuffle: read '5'; accepted: a duration such as 5m, at most 10000d: the furthest"),
        ("delay=10001d", "the option delay: read '10001d'; accepted: a duration such as 10m, at most 10000d: the most"),
        ("duplicates=2", "the option duplicates: read '2'; accepted: a number from 0 to 1: the share of events that"),
        ("duplicates=nan", "the option duplicates: read 'nan'; accepted: a number from 0 to 1"),
        ("speed=0", "the option speed: read '0'; accepted: a number above 0: seconds of ingest time per second"),
        ("speed=", "the option speed: read ''; accepted: a number above 0"),
        ("seed=1.5", "the option seed: read '1.5'; accepted: a whole number from 0"),
        ("since=yesterday", "the option since: read 'yesterday'; accepted: a time with an offset such as 2016-03-01T"),
        ("since=2016-03-01", "the option since: read '2016-03-01'; accepted: a time with an offset"),
        ("since=1456790400", "the option since: read '1456790400'; accepted: a time with an offset"),
        ("follow=perhaps", "the option follow: read 'perhaps'; accepted: true or false"),
        ("seed=1&seed=1", "the option seed is there twice. Leave one."),
        ("seed", "the option seed: read ''; accepted: a whole number"),
    ],
)
def test_options_that_are_not_accepted(options: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        source("/x", options)
    assert str(error.value).startswith(f"file:///x?{options}: {message}")


def test_json_lines_without_a_column_differ_in_type_and_still_make_one_recording(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": 9007199254740993, "at": 1, "logged": 1}) + "\n")
    (tmp_path / "b.jsonl").write_text(json.dumps({"id": "x", "at": 2}) + "\n" + json.dumps({"id": 1.5, "at": 3}) + "\n")
    [batch] = drained(opened(tmp_path))
    assert batch.rows["id"].to_pylist() == ["9007199254740993", "x", "1.5"]


@settings(max_examples=20)
@given(st.integers(0, 2**60 - 1))
def test_any_seed_is_good(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    path = recording(tmp_path_factory.mktemp("events"), [1, 2, 3])
    assert sorted(ids(drained(opened(path, f"shuffle=9s&seed={seed}")))) == [0, 1, 2]
