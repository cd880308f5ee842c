"""Input that cannot be used: one message that says what, where and how to mend it; and nothing is pushed."""

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipeline.cli.trips import COLUMNS, Trips, finish, read_csv, write_csv

DECLARATION, INPUT = 3, 4


@pytest.fixture
def served(trips: Trips) -> Trips:
    """The dataset with something in every place that a run writes when it succeeds."""
    (trips.serving / "1").mkdir(parents=True)
    (trips.serving / "1" / "saved_model.pb").write_text("an old model")
    (trips.output / "report.html").write_text("an old report")
    (trips.output / "last_run.json").write_text("{}")
    return trips


def refused(trips: Trips, exit_code: int, message: str, *arguments: str) -> None:
    """Runs, and checks that it ends with just this message and leaves what is served alone."""
    before = trips.pushed()
    run = trips.call("run", *arguments)
    assert re.search(message, run.err, re.DOTALL), run.err
    assert run.exit_code == exit_code
    assert run.err.startswith("error: ")
    assert run.err.count("error: ") == 1
    assert "Traceback" not in run.out + run.err
    assert trips.pushed() == before


def without_fare(trips: Trips) -> None:
    write_csv([{name: row[name] for name in COLUMNS if name != "fare"} for row in read_csv(trips.data)], trips.data)


def delimited_by(delimiter: str) -> Callable[[Trips], None]:
    return lambda trips: write_csv(read_csv(trips.data), trips.data, delimiter)


def with_line(line: bytes) -> Callable[[Trips], object]:
    return lambda trips: trips.data.open("ab").write(line + b"\r\n")


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        # The file.
        (lambda trips: trips.data.unlink(), r"trips\.csv: no such file or directory\. Name the data with --data"),
        (lambda trips: trips.data.write_bytes(b""), r"trips\.csv: the file is empty\. Remove it, or name other data"),
        (lambda trips: trips.data.write_text(",".join(COLUMNS) + "\n"), "the data holds no rows. Name other data"),
        # The columns.
        (delimited_by(";"), r"trips\.csv: the fields are separated by ';', not by a comma; write it with commas"),
        (delimited_by("\t"), r"trips\.csv: the fields are separated by '\\t', not by a comma; write it with commas"),
        (without_fare, r"trips\.csv: the column fare is missing; found .*\. Add it to the data, or remove it from the"),
        (lambda trips: trips.edit_all(weather="wet"), r"the column weather is not declared\. Declare it, for instance"),
        # The rows.
        (lambda trips: trips.edit(5, fare="twelve"), r"column fare, 1 row: .*trips\.csv, row 5: read 'twelve'\. Acc"),
        (lambda trips: trips.edit_all(fare="twelve"), "column fare, 600 rows: .*row 1: .*row 2: .*Mend the data"),
        (lambda trips: trips.edit(7, trip_start_timestamp="noon"), "trip_start_timestamp, 1 row: .*row 7: read 'noon'"),
        (with_line(b"1,2,3,4,5,6"), r"trips\.csv, row 601: read 6 fields in '1,2,3,4,5,6'.* 5 fields, as in the "),
        (with_line(b"1,2,3"), r"trips\.csv, row 601: read 3 fields in '1,2,3'"),  # one field too few
        (with_line(b"1,2,3,\xff,5"), r"trips\.csv: .*UTF-?8"),  # Latin-1
        # What a model cannot be trained on.
        (lambda trips: trips.edit_all(trip_seconds=""), "trip_seconds is null in all 600 rows. .*role: ignored"),
        (lambda trips: trips.edit_all(tips="0"), "the label big_tip is 0 in all 420 rows of the split train, .*both"),
        (lambda trips: write_csv(read_csv(trips.data)[:1], trips.data), "the split train holds none of the 1 row"),
    ],
)  # fmt: skip
def test_a_csv_file_that_cannot_be_used(served: Trips, break_it: Callable[[Trips], object], message: str) -> None:
    break_it(served)
    refused(served, INPUT, message)


def test_a_directory_without_a_file_of_a_known_format(served: Trips, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("nothing")
    refused(served, INPUT, r"notes: the directory holds no file ending in \.csv", "--data", str(tmp_path / "notes"))


def test_a_pattern_without_a_match(served: Trips, tmp_path: Path) -> None:
    refused(served, INPUT, "no file matches. Check the pattern, and quote it", "--data", str(tmp_path / "*.parquet"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda content: content[: len(content) // 2],
            "cannot be read as parquet: .* Mend or remove the file",
        ),  # no end
        (lambda content: content[:200] + b"\xff" * 300 + content[500:], "cannot be read.* Mend or remove the file"),
        (lambda content: b"PAR1" + b"?" * 50 + b"PAR1", "cannot be read as parquet: .* Mend or remove the file"),
    ],
)
def test_a_corrupt_parquet_file(served: Trips, damage: Callable[[bytes], bytes], message: str) -> None:
    path = served.directory / "trips.parquet"
    pq.write_table(pa.Table.from_pylist(read_csv(served.data)), path)
    path.write_bytes(damage(path.read_bytes()))
    refused(served, INPUT, rf"trips\.parquet: {message}", "--data", str(path))


def test_a_parquet_column_of_another_type(served: Trips) -> None:
    path = served.directory / "trips.parquet"
    pq.write_table(pa.Table.from_pylist([row | {"fare": [1.0]} for row in read_csv(served.data)]), path)
    refused(served, INPUT, "fare is retyped: read list<.*>; accepted: a finite number", "--data", str(path))


@pytest.mark.parametrize(
    ("break_it", "arguments", "message"),
    [
        (lambda trips: trips.features.open("a").write("colour: red\n"), [],
         r"features\.yaml:\d+: colour: unknown field; accepted: dataset, data, "),
        (lambda trips: trips.features.unlink(), [], "features.yaml: no such file. Name a declaration with --feat"),
        (lambda trips: None, ["--set", "training.stepz=3"], "--set.*training.stepz: unknown field; accepted: steps, "),
        (lambda trips: trips.schema.unlink(), [],
         r"schema\.pbtxt: there is no curated schema\. `uv run twinbeam schema accept --features .*` writes one from"),
        (lambda trips: trips.schema.write_text("feature {"), [], r"schema\.pbtxt: not a schema in text format: 1:9"),
        (lambda trips: trips.schema.write_bytes(b"\xff"), [], r"schema\.pbtxt: not a schema in text format: .*utf-8"),
    ],
)  # fmt: skip
def test_a_declaration_or_schema_that_says_nothing_acceptable(
    served: Trips, break_it: Callable[[Trips], object], arguments: list[str], message: str
) -> None:
    break_it(served)
    refused(served, DECLARATION, message, *arguments)


def test_debug_shows_where_it_happened(trips: Trips) -> None:
    trips.data.unlink()
    run = trips.call("run", "--debug")
    assert "Traceback" in run.err
    assert run.err.splitlines()[-1].startswith("error: ")


def test_a_json_error_is_the_only_line_on_standard_output(trips: Trips) -> None:
    trips.edit(5, fare="twelve")
    run = trips.call("run", "--json")
    assert run.result["exit_code"] == run.exit_code == INPUT
    assert "read 'twelve'" in run.result["error"]


def test_bad_rows_in_a_process_of_its_own(served: Trips) -> None:
    """The tests above share a process; the exit code and the streams are the shell's too."""
    before = served.pushed()
    run = finish(served.start("run", "--set", "label.scale=1"))
    assert run.exit_code == DECLARATION
    assert run.out == ""
    assert re.fullmatch("error: --set.*label.scale: unknown field; accepted: name, .*\n", run.err)
    assert served.pushed() == before
