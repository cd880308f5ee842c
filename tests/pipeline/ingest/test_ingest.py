import csv
import json
import pickle
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from modules.spec import ROW_ID, SPLITS, Declaration
from pipeline.ingest import readers
from pipeline.ingest.conform import conform
from pipeline.ingest.examples import example_types, values_of
from pipeline.ingest.files import InputFile, find_files
from pipeline.ingest.ingest import Ingest, Summary
from pipeline.ingest.rows import row_ids
from tests.artifacts import taxi

TAXI = taxi()
NULLS = {
    "trip_seconds": 6, "company": 5140, "pickup_latitude": 2, "pickup_longitude": 2, "dropoff_latitude": 483,
    "dropoff_longitude": 483, "pickup_community_area": 2, "dropoff_community_area": 507, "pickup_census_tract": 15001,
    "dropoff_census_tract": 4241,
}  # fmt: skip


def ingest(files: list[InputFile], declaration: Declaration, directory: Path) -> Summary:
    """Runs the real transform on the runner that the pipeline uses."""
    found = directory / "summary"
    with beam.Pipeline(argv=["--runner=FnApiRunner"]) as pipeline:
        summary = pipeline | Ingest(files, declaration, str(directory))
        _ = summary | beam.Map(lambda summary: found.write_bytes(pickle.dumps(summary)))
    made = pickle.loads(found.read_bytes())
    assert isinstance(made, Summary)
    return made


def examples(directory: Path) -> dict[str, pa.Table]:
    """The examples by split, flat and in the order of their ids."""
    tables = {}
    for split in SPLITS:
        table = pa.concat_tables([pq.read_table(path) for path in sorted((directory / f"Split-{split}").iterdir())])
        flat = pa.table({name: values_of(table, name) for name in table.column_names})
        tables[split] = flat.sort_by([(ROW_ID, "ascending"), ("trip_start_timestamp", "ascending")])
    return tables


@pytest.fixture(scope="module")
def trips() -> pa.Table:
    """The real trips as text."""
    [file] = find_files(TAXI.data)
    names = list(TAXI.columns)
    options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True)
    return pyarrow.csv.read_csv(file.path, convert_options=options).select(names)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, dict[str, pa.Table]]:
    """What comes of the real trips, read in small blocks."""
    directory = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "_BLOCK_BYTES", 1 << 18)
        return ingest(find_files(TAXI.data), TAXI, directory), examples(directory)


def test_the_real_trips_are_read_whole(real: tuple[Summary, dict[str, pa.Table]]) -> None:
    summary, tables = real
    assert summary == Summary(
        rows={"train": 10_501, "validation": 1_500, "eval": 3_001},
        positives={"train": 2_116, "validation": 416, "eval": 842},
        nulls=NULLS,
    )
    assert {split: len(table) for split, table in tables.items()} == summary.rows
    assert {split: pc.sum(table["big_tip"]).as_py() for split, table in tables.items()} == summary.positives


def test_no_time_is_in_two_splits(real: tuple[Summary, dict[str, pa.Table]]) -> None:
    ends = [pc.min_max(real[1][split]["trip_start_timestamp"]).as_py() for split in SPLITS]
    assert ends[0]["max"] < ends[1]["min"]
    assert ends[1]["max"] < ends[2]["min"]


def test_every_value_of_every_row_comes_back(real: tuple[Summary, dict[str, pa.Table]], trips: pa.Table) -> None:
    declaration = TAXI
    columns = {
        name: conform(trips[name].combine_chunks(), column, name)[0] for name, column in declaration.columns.items()
    }
    ids = row_ids(columns)
    stored = pa.concat_tables(real[1].values())
    where = pc.index_in(ids.cast(pa.large_binary()), stored[ROW_ID].combine_chunks())
    assert where.null_count == 0
    for name, to in example_types(declaration).items():
        if name in columns:
            assert stored[name].take(where).combine_chunks().equals(pc.cast(columns[name], to, safe=False)), name


def write(trips: pa.Table, directory: Path, how: str) -> str:
    """The trips in other files, rows and columns in another order where the format allows it."""
    if how == "three csv files":
        for number, start in enumerate(range(0, len(trips), 6000)):
            path = directory / f"part-{number}.csv"
            pyarrow.csv.write_csv(trips.slice(start, 6000).select(sorted(trips.column_names)), path)
    elif how == "reversed parquet":
        typed = {name: column.cast(TYPES[TAXI.columns[name].type]) for name, column in
                 zip(trips.column_names, trips.columns, strict=True)}  # fmt: skip
        pq.write_table(pa.table(typed).take(list(range(len(trips) - 1, -1, -1))), directory / "trips.parquet")
    else:
        half = len(trips) // 2
        pyarrow.csv.write_csv(trips.slice(0, half), directory / "a.csv")
        with (directory / "b.jsonl").open("w") as file:
            for row in trips.slice(half).to_pylist():
                typed_row = {
                    name: value if TAXI.columns[name].type == "string" else float(value)
                    for name, value in row.items()
                    if value is not None
                }
                file.write(json.dumps(typed_row) + "\n")
    return str(directory)


TYPES = {"int": pa.int64(), "timestamp": pa.int64(), "float": pa.float64(), "string": pa.string()}


@pytest.mark.parametrize("how", ["three csv files", "reversed parquet", "csv and json lines"])
def test_other_files_of_the_same_trips_give_the_same_examples(
    real: tuple[Summary, dict[str, pa.Table]], trips: pa.Table, tmp_path: Path, how: str
) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    target.mkdir()
    summary = ingest(find_files(write(trips, source, how)), TAXI, target)
    assert summary == real[0]
    assert {split: table.equals(real[1][split]) for split, table in examples(target).items()} == dict.fromkeys(
        SPLITS, True
    )


SHOP = Declaration.model_validate_json("""{
  "dataset": "shop", "data": "",
  "columns": {
    "at": {"type": "timestamp", "unit": "s", "role": "time"},
    "number": {"type": "int", "role": "id"},
    "price": {"type": "float", "role": "feature", "transform": {"name": "scale"}},
    "shopper": {"type": "string", "role": "key"},
    "bought": {"type": "int", "role": "label"}},
  "label": {"name": "bought", "column": "bought"},
  "split": {"by": "hash", "key": "shopper", "validation": 0.2, "eval": 0.3},
  "evaluation": {"thresholds": {"auc": {"at_least": 0}}}}""")
BY_TIME = SHOP.model_copy(update={"split": SHOP.split.model_copy(update={"by": "time", "key": None})})
HEADER = ["at", "number", "price", "shopper", "bought"]


def shop_file(directory: Path, name: str, rows: list[list[str]]) -> InputFile:
    with (directory / name).open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return InputFile(str(directory / name), "csv")


def good(number: int) -> list[str]:
    return [str(number), str(number), "1.5", f"s{number % 7}", str(number % 2)]


@pytest.mark.parametrize("declaration", [SHOP, BY_TIME])
@pytest.mark.parametrize("block", [64, 1 << 20])
def test_all_bad_rows_of_all_files_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declaration: Declaration, block: int
) -> None:
    monkeypatch.setattr(readers, "_BLOCK_BYTES", block)
    one, two = ([good(number) for number in range(start, start + 20)] for start in (0, 20))
    one[1] = ["1", "2"]  # too few fields: the numbers of the rows after it must not shift
    one[2][2] = "cheap"
    one[4][2] = "1e999"
    two[0][2] = "0x1"
    two[1][2] = "n/a"
    two[2][2] = "nan"
    two[3][4] = "2"  # a label that is no label
    two[4][4] = ""
    two[5][1] = ""
    two[6][0] = ""
    two[7][0] = "noon"  # reported once, and not again as a missing time
    files = [shop_file(tmp_path, "one.csv", one), shop_file(tmp_path, "two.csv", two)]
    summary = ingest(files, declaration, tmp_path)
    assert summary.unreadable == []
    problems = {(problem.column, problem.accepted): problem for problem in summary.problems}
    assert len(problems) == len(summary.problems)

    def words(column: str, rule: str) -> tuple[int, set[str]]:
        found = problems.pop((column, rule))
        return found.count, {example.replace(f"{tmp_path}/", "") for example in found.examples}

    assert words("(the whole row)", "5 fields, as in the header, fields with commas in quotes") == (
        1, {"one.csv, row 2: read 2 fields in '1,2'"})  # fmt: skip
    count, some = words("price", "a finite number that float32 holds")
    assert count == 5
    assert len(some) == 3
    assert some <= {
        "one.csv, row 3: read 'cheap'",
        "one.csv, row 5: read '1e999'",
        "two.csv, row 1: read '0x1'",
        "two.csv, row 2: read 'n/a'",
        "two.csv, row 3: read 'nan'",
    }
    assert words("bought", "0 or 1, because it is the label") == (1, {"two.csv, row 4: read '2'"})
    assert words("bought", "a value in every row, because the label is made from it") == (
        1, {"two.csv, row 5: read None"})  # fmt: skip
    assert words("number", "a value in every row, because it is the row's identity") == (
        1, {"two.csv, row 6: read None"})  # fmt: skip
    assert words("at", "a value in every row, because it is the event's time") == (1, {"two.csv, row 7: read None"})
    rule = "a whole number of s since 1970-01-01T00:00:00Z, or a date and time with an offset"
    assert words("at", rule) == (1, {"two.csv, row 8: read 'noon'"})
    assert problems == {}


@pytest.mark.parametrize("declaration", [SHOP, BY_TIME])
def test_unreadable_files_are_all_named(tmp_path: Path, declaration: Declaration) -> None:
    for name, content in [("a.csv", "x,y\n1,2\n"), ("b.parquet", "nonsense"), ("c.jsonl", "{")]:
        (tmp_path / name).write_text(content)
    files = [*find_files(str(tmp_path)), shop_file(tmp_path, "d.csv", [good(1)])]
    summary = ingest(files, declaration, tmp_path)
    assert sorted(reason.removeprefix(f"{tmp_path}/").partition(":")[0] for reason in summary.unreadable) == [
        "a.csv", "b.parquet"]  # fmt: skip
    [problem] = map(str, summary.problems)
    assert problem.startswith(
        f"column (the whole row), 1 row: {tmp_path}/c.jsonl, row 1: not JSON: Expecting property name"
    )
    assert sum(summary.rows.values()) == 1  # the others are still read, so that one run finds all problems


@pytest.mark.parametrize("declaration", [SHOP, BY_TIME])
def test_one_unreadable_file_alone_is_a_summary_and_no_crash(tmp_path: Path, declaration: Declaration) -> None:
    (tmp_path / "a.csv").write_text("at\n1\n")
    summary = ingest(find_files(str(tmp_path / "a.csv")), declaration, tmp_path)
    assert summary.unreadable == [
        f"{tmp_path}/a.csv: the column number, price, shopper, bought is missing; found at. "
        "Add it to the data, or remove it from the declaration."
    ]


@pytest.mark.parametrize("declaration", [SHOP, BY_TIME])
def test_files_without_rows(tmp_path: Path, declaration: Declaration) -> None:
    assert ingest([shop_file(tmp_path, "a.csv", [])], declaration, tmp_path) == Summary()


def test_an_entity_is_in_one_split_across_files(tmp_path: Path) -> None:
    files = [shop_file(tmp_path, f"{name}.csv", [good(number) for number in range(start, start + 50)])
             for name, start in [("a", 0), ("b", 50)]]  # fmt: skip
    summary = ingest(files, SHOP, tmp_path)
    assert sum(summary.rows.values()) == 100
    where: dict[bytes, set[str]] = {}
    for path in tmp_path.rglob("*.parquet"):
        for shopper in values_of(pq.read_table(path), "shopper").to_pylist():
            where.setdefault(shopper, set()).add(path.parent.name)
    assert len(where) == 7
    assert all(len(splits) == 1 for splits in where.values())


def test_the_id_column_becomes_the_row_id(tmp_path: Path) -> None:
    ingest([shop_file(tmp_path, "a.csv", [good(number) for number in range(5)])], SHOP, tmp_path)
    ids = [
        value for path in tmp_path.rglob("*.parquet") for value in values_of(pq.read_table(path), ROW_ID).to_pylist()
    ]
    assert sorted(ids) == [b"0", b"1", b"2", b"3", b"4"]


def test_totals_add_up_whatever_the_order() -> None:
    parts = [
        Summary(rows={"train": 2}, nulls={"a": 1}, unreadable=["x"]),
        Summary(rows={"train": 1, "eval": 1}),
        Summary(),
    ]
    total = Summary.total(parts)
    assert total == Summary(rows={"train": 3, "eval": 1}, nulls={"a": 1}, unreadable=["x"])
    assert Summary.total([Summary.total(parts[:1]), Summary.total(parts[1:])]) == total
    assert Summary.total([]) == Summary()
