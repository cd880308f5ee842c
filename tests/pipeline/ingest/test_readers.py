import datetime
import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.spec import InputError, Typed
from pipeline.ingest import readers
from pipeline.ingest.files import InputFile
from pipeline.ingest.problems import Problem
from pipeline.ingest.readers import read_batches

AB = ["a", "b"]
TEXT, NUMBER = Typed(type="string"), Typed(type="int")


def read(
    path: Path, declared: list[str] = AB, wanted: list[str] | None = None, a: Typed = TEXT
) -> tuple[dict[str, list[Any]], list[str]]:
    """All rows of a file by column, their numbers as `#`, and the problems in words."""
    problems: list[Problem] = []
    columns = dict.fromkeys(wanted or declared, TEXT) | {"a": a}
    columns = {name: columns[name] for name in wanted or declared}
    rows: dict[str, list[Any]] = {name: [] for name in ["#", *columns]}
    file = InputFile(str(path), {".csv": "csv", ".parquet": "parquet"}.get(path.suffix, "jsonl"))
    for numbers, batch in read_batches(file, declared, columns, problems):
        assert batch.schema.names == list(columns)
        rows["#"] += numbers.tolist()
        for name, values in batch.to_pydict().items():
            rows[name] += values
    return rows, [str(problem).replace(f"{path.parent}/", "") for problem in problems]


def written(directory: Path, name: str, content: str | bytes) -> Path:
    path = directory / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "a", "b"),
    [
        ("a,b\n1,2\n", ["1"], ["2"]),  # numbers stay text: conforming is not the reader's work
        ("a,b\n1,2", ["1"], ["2"]),  # no newline at the end
        ("a,b\r\n1,2\r\n", ["1"], ["2"]),
        ("\ufeffa,b\n1,2\n", ["1"], ["2"]),  # a byte order mark is no part of a name
        ('\ufeff"a",b\n1,2\n', ["1"], ["2"]),
        ("\n\na,b\n1,2\n", ["1"], ["2"]),
        ("b,a\n1,2\n", ["2"], ["1"]),  # columns go by name
        ('a,b\n"x,y",2\n', ["x,y"], ["2"]),
        ('a,b\n"say ""hi""",2\n', ['say "hi"'], ["2"]),
        ('a,b\n"one\ntwo\n",2\n3,4\n', ["one\ntwo\n", "3"], ["2", "4"]),
        ("a,b\n,2\n", [None], ["2"]),
        ('a,b\n"",2\n', [""], ["2"]),  # quotes around nothing: text
        ("a,b\nNULL,NA\n", ["NULL"], ["NA"]),  # a shop may be called so
        ("a,b\n 1 ,\t2\n", [" 1 "], ["\t2"]),
        ("a,b\né,🚕\n", ["é"], ["🚕"]),
        ("a,b\n", [], []),
        ("a,b", [], []),
    ],
)
def test_csv(tmp_path: Path, content: str, a: list[Any], b: list[Any]) -> None:
    rows, problems = read(written(tmp_path, "f.csv", content))
    assert rows == {"#": list(range(1, len(a) + 1)), "a": a, "b": b}
    assert problems == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a;b\n1;2\n", r"the fields are separated by ';', not by a comma; write it with commas, or as Parquet\.$"),
        ("a\tb\n1\t2\n", r"the fields are separated by '\\t', not by a comma"),
        ("a|b\n1|2\n", r"the fields are separated by '\|', not by a comma"),
        ("a\n1\n", r"the column b is missing; found a\. Add it to the data, or remove it from the declaration\.$"),
        ("x\n1\n", r"the column a, b is missing; found x\."),
        (
            "a,b,c,d\n1,2,3,4\n",
            r"the column c, d is not declared\. Declare it, for instance `c: \{type: string, role: ign",
        ),
        ("A,b\n1,2\n", r"the column a is missing; found A, b\."),
        ("a,b,a\n1,2,3\n", r"the column a is there twice\. Rename one\.$"),
        ("\n\n", r"the column a, b is missing; found \."),
        (b"a,b\n\xe9,2\n", r"cannot be read as csv: .*invalid UTF8 data\. Save it as UTF-8\.$"),
        ("a,b\n1,2\n".encode("utf-16"), r"the column a, b is missing; found"),
        (b"\x00\x01\x02" * 100_000, r"cannot be read as csv: field larger than field limit"),
    ],
)
def test_a_csv_file_that_is_not_as_declared(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"^{tmp_path}/f\.csv: {message}"):
        read(written(tmp_path, "f.csv", content))


def test_rows_that_cannot_be_split_are_reported_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    rows, problems = read(written(tmp_path, "f.csv", "a,b\n1,2\n3\n\n4,5,6\n7,8\n9\n10,11\n"))
    assert rows == {"#": [1, 4, 6], "a": ["1", "7", "10"], "b": ["2", "8", "11"]}
    accepted = "Accepted: 2 fields, as in the header, fields with commas in quotes."
    assert problems == [
        f"column (the whole row), 1 row: f.csv, row 2: read 1 fields in '3'. {accepted}",
        f"column (the whole row), 1 row: f.csv, row 3: read 3 fields in '4,5,6'. {accepted}",  # blank lines are no rows
        f"column (the whole row), 1 row: f.csv, row 5: read 1 fields in '9'. {accepted}",
    ]


def test_the_text_of_rows_that_cannot_be_split_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, "f.csv", 'a,b\n1,2\n3\n"4,\n5",é,6\n')
    unsplit: list[tuple[int, str]] = []
    list(read_batches(InputFile(str(path), "csv"), AB, dict.fromkeys(AB, TEXT), [], unsplit))
    assert unsplit == [(2, "3"), (3, '"4,\n5",é,6')]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_columns_that_are_not_wanted_may_be_there_but_those_that_are_must(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"f.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.table({"c": ["3"], "b": ["2"], "a": ["1"]}), path)
    else:
        path.write_text("c,b,a\n3,2,1\n" if suffix == "csv" else '{"c": "3", "b": "2", "a": "1"}\n')
    file = InputFile(str(path), suffix)
    [(_, rows)] = read_batches(file, None, dict.fromkeys(AB, TEXT), [])
    assert rows.to_pydict() == {"a": ["1"], "b": ["2"]}
    with pytest.raises(
        InputError, match=rf"f\.{suffix}: the column d is missing; found a\. Add it to the data, or remove"
    ):
        list(read_batches(file, None, {"a": TEXT, "d": TEXT}, []))
    with pytest.raises(InputError, match="the column d is missing; found c, b, a"):
        list(read_batches(file, None, {"d": TEXT}, []))


def test_a_column_that_is_not_wanted_may_be_there_twice(tmp_path: Path) -> None:
    file = InputFile(str(written(tmp_path, "f.csv", "a,c,c\n1,2,3\n")), "csv")
    [(_, rows)] = read_batches(file, None, {"a": TEXT}, [])
    assert rows.to_pydict() == {"a": ["1"]}


def test_a_quote_that_is_never_closed_is_reported(tmp_path: Path) -> None:
    _, problems = read(written(tmp_path, "f.csv", 'a,b\n"1,2\n3,4\n'))
    assert problems[0].startswith("column (the whole row), 1 row: f.csv, row 1: read 1 fields in '\"1,2\\n3,4")


@given(st.lists(st.sampled_from(["good", "short", "long", "blank"]), max_size=40), st.integers(12, 64))
def test_row_numbers_do_not_depend_on_the_blocks(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], block: int
) -> None:
    lines = {"good": "{0},x{0}", "short": "{0}", "long": "{0},2,3", "blank": ""}
    numbers = itertools.count(1)
    numbered = [(kind, next(numbers) if kind != "blank" else 0) for kind in kinds]
    path = tmp_path_factory.mktemp("csv") / "f.csv"
    path.write_text("a,b\n" + "".join(lines[kind].format(number) + "\n" for kind, number in numbered))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "_BLOCK_BYTES", block)
        rows, problems = read(path)
    assert rows["#"] == [number for kind, number in numbered if kind == "good"]
    assert rows["a"] == [str(number) for kind, number in numbered if kind == "good"]
    assert len(problems) == sum(kind in ("short", "long") for kind in kinds)


@pytest.mark.parametrize("block", [24, 32, 64, 1 << 20])
def test_newlines_in_quotes_may_cross_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(readers, "_BLOCK_BYTES", block)
    values = [f"line {i}\nline,\n" for i in range(20)]
    path = written(tmp_path, "f.csv", "a,b\n" + "".join(f'"{value}",{i}\n' for i, value in enumerate(values)))
    rows, problems = read(path)
    assert (rows["a"], problems) == (values, [])


def test_only_the_wanted_columns_are_read_but_all_are_checked(tmp_path: Path) -> None:
    path = written(tmp_path, "f.csv", "a,b\n1,2\n")
    assert read(path, wanted=["b"])[0] == {"#": [1], "b": ["2"]}
    with pytest.raises(InputError, match="column b is not declared"):
        read(path, declared=["a"])


def parquet(directory: Path, table: pa.Table, **options: Any) -> Path:
    pq.write_table(table, directory / "f.parquet", **options)
    return directory / "f.parquet"


def test_parquet_keeps_the_types(tmp_path: Path) -> None:
    table = pa.table({"b": pa.array(["x", None, "x"]).dictionary_encode(), "a": pa.array([1, None, 3], pa.int8())})
    path = parquet(tmp_path, table, row_group_size=2)
    assert read(path)[0] == {"#": [1, 2, 3], "a": [1, None, 3], "b": ["x", None, "x"]}
    [(_, batch), *_] = read_batches(InputFile(str(path), "parquet"), AB, {"a": TEXT}, [])
    assert batch.schema.types == [pa.int8()]


def test_parquet_numbers_rows_across_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "_BATCH_ROWS", 3)
    rows, _ = read(parquet(tmp_path, pa.table({"a": range(10), "b": range(10)})))
    assert rows["#"] == list(range(1, 11))


def test_parquet_without_rows(tmp_path: Path) -> None:
    assert (
        read(parquet(tmp_path, pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.string())})))[0]["#"] == []
    )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "the column b is missing; found a"),
        (["a", "b", "c"], "the column c is not declared"),
        (["a", "a", "b"], "the column a is there twice"),
    ],
)
def test_parquet_columns_are_checked(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(parquet(tmp_path, pa.table([pa.array([1])] * len(names), names=names)))


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"not parquet at all",
        lambda raw: raw[:-1],  # cut off while it was copied
        lambda raw: raw[:200],
        lambda raw: raw[:4] + b"\xff" * 60 + raw[64:],  # the pages, not the footer
        lambda raw: raw[:-60] + b"\xff" * 30 + raw[-30:],
    ],
)
def test_a_damaged_parquet_file_is_named(tmp_path: Path, damage: Any) -> None:
    path = parquet(tmp_path, pa.table({"a": range(100), "b": [str(i) for i in range(100)]}))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"(?s)f\.parquet: cannot be read.*[^.\n]\. Mend or remove the file\.$"):
        read(path)


def test_parquet_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """The format does not check it, and Python would fail on it later."""
    broken = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xe9"))
    with pytest.raises(InputError, match="Invalid UTF8"):
        read(parquet(tmp_path, pa.table({"a": broken, "b": [1]})))


@pytest.mark.parametrize(
    ("content", "a", "b"),
    [
        ('{"a": 1, "b": "x"}\n{"b": "y", "a": 2}\n', [1, 2], ["x", "y"]),
        ('\ufeff{"a": 1, "b": "x"}\n', [1], ["x"]),
        ('{"a": 1}\n{"b": "y"}\n{}\n', [1, None, None], [None, "y", None]),  # a key left out is null
        ('{"a": null, "b": ""}\n', [None], [""]),
        ('\n{"a": 1, "b": "2"}\n\n{"a": 3, "b": "4"}', [1, 3], ["2", "4"]),
        ('{"a": 9223372036854775807, "b": "0.1"}\n', [2**63 - 1], ["0.1"]),
        ('{"a": 9223372036854775807, "b": 0.10}\n{"a": 2.5, "b": 2}\n', ["9223372036854775807", "2.5"], ["0.10", "2"]),
        ('{"a": "1", "b": "2016-03-01 09:30:00"}\n', ["1"], ["2016-03-01 09:30:00"]),
        ('{"a": 1, "b": "\\u00e9"}\n', [1], ["é"]),
        ('{"a": 1, "b": null}\n', [1], [None]),  # there, and null
    ],
)
def test_json_lines(tmp_path: Path, content: str, a: list[Any], b: list[Any]) -> None:
    rows, problems = read(written(tmp_path, "f.jsonl", content), a=NUMBER)
    assert rows == {"#": list(range(1, len(a) + 1)), "a": a, "b": b}
    assert problems == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}\n', r"the column b is missing; found a"),
        ('{"a": 1, "b": "2"}\n{"c": 3}\n', r"the column c is not declared"),
        ('{"a": 1, "b": "2"}\n{"a": 1.5, "b": 7, "c": 3}\n', r"the column c is not declared"),
        ("{}\n", r"the column a, b is missing; found"),
        ("\n\n", r"the column a, b is missing; found"),
    ],
)
def test_json_lines_that_are_not_as_declared(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"f\.jsonl: {message}"):
        read(written(tmp_path, "f.jsonl", content))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": 1, "b":', "not JSON: Expecting value"),
        (b'{"a": 1, "b": "x"} {"a": 1, "b": "x"}', "not JSON: Extra data"),
        (b'[{"a": 1, "b": "x"}]', "JSON, but not an object"),
        (b'{"a": 1, "a": 2, "b": "x"}', "the key a is there twice"),
        (b'{"a": [1], "b": {"c": 2}}', "the key a holds a list, not one value"),
        (b'{"a": NaN, "b": "x"}', "not JSON: the key a holds NaN"),
        (b'{"a": 1, "b": "\xe9"}', "not UTF-8: byte 16 is 0xe9"),
    ],
)
def test_a_line_that_is_no_row_is_reported_and_its_neighbours_are_read(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    good = b'{"a": 7, "b": "y", "c": 1}\n'
    path = written(tmp_path, "f.jsonl", good + line + b"\n" + good.replace(b"1", b'"one"'))
    rows, [problem] = read(path, ["a", "b", "c"], AB, NUMBER)
    assert rows["#"] == [1, 3]
    assert [int(value) for value in rows["a"]] == [7, 7]
    assert problem.startswith(f"column (the whole row), 1 row: f.jsonl, row 2: {reason}")
    assert problem.endswith("Accepted: one JSON object a line, with each declared key once and one value in it.")


@pytest.mark.parametrize("block", [8, 20, 64, 1 << 20])
def test_json_lines_cross_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(readers, "_BLOCK_BYTES", block)
    lines = [f'{{"b": "{"x" * i}", "a": {i}}}\n' for i in range(60)]  # some longer than two blocks
    rows, _ = read(written(tmp_path, "f.jsonl", "".join(lines)), a=NUMBER)
    assert rows == {"#": list(range(1, 61)), "b": ["x" * i for i in range(60)], "a": list(range(60))}


def test_a_file_that_goes_away_is_named(tmp_path: Path) -> None:
    for name in ("gone.csv", "gone.parquet", "gone.jsonl"):
        with pytest.raises(InputError, match=rf"{name}: cannot be read: .*No such file"):
            read(tmp_path / name)


def test_three_formats_say_the_same(tmp_path: Path) -> None:
    day = datetime.date(2016, 3, 1)
    files = [
        written(tmp_path, "f.csv", f"a,b\n{day},x\n"),
        written(tmp_path, "f.jsonl", f'{{"a": "{day}", "b": "x"}}\n'),
        parquet(tmp_path, pa.table({"a": [day], "b": ["x"]})),
    ]
    assert [str(read(file)[0]["a"][0]) for file in files] == [str(day)] * 3
