import datetime
import os
from pathlib import Path

import pytest

from modules.spec import InputError
from pipeline.ingest.files import InputFile, find_files


def fill(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text("a\n1\n")


def found(data: Path | str, directory: Path, spans: int = 1) -> list[str]:
    """The files' names below the directory."""
    return [os.path.relpath(file.path, directory) for file in find_files(str(data), spans)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.csv", "csv"), ("a.parquet", "parquet"), ("a.jsonl", "jsonl"), ("a.ndjson", "jsonl"), ("a.json", "jsonl")],
)
def test_a_file_is_read_by_its_suffix(tmp_path: Path, name: str, kind: str) -> None:
    fill(tmp_path, name)
    assert find_files(str(tmp_path / name)) == [InputFile(str(tmp_path / name), kind)]


def test_a_file_whose_name_looks_like_a_glob_is_itself(tmp_path: Path) -> None:
    fill(tmp_path, "trips[1].csv", "trips1.csv")
    assert found(tmp_path / "trips[1].csv", tmp_path) == ["trips[1].csv"]


@pytest.mark.parametrize("name", ["[1]", "a*", "plain"])
def test_a_directory_gives_all_its_data_files_in_the_order_of_their_paths(tmp_path: Path, name: str) -> None:
    fill(tmp_path, f"{name}/b.csv", f"{name}/a.jsonl", f"{name}/deep/er/c.parquet", "1/not_this.csv")
    fill(tmp_path, f"{name}/_SUCCESS", f"{name}/README.md")  # what other tools leave beside the data
    fill(tmp_path, f"{name}/.b.csv", f"{name}/.ipynb_checkpoints/b.csv")  # copies: the rows would be counted twice
    assert found(tmp_path / name, tmp_path / name) == ["a.jsonl", "b.csv", "deep/er/c.parquet"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.csv", ["a.csv", "b.csv"]),
        ("[ab].csv", ["a.csv", "b.csv"]),
        ("?.jsonl", ["c.jsonl"]),
        ("**/*.csv", ["a.csv", "b.csv", "deep/d.csv"]),  # each once
        ("**/**/d.csv", ["deep/d.csv"]),
        ("*", ["a.csv", "b.csv", "c.jsonl"]),  # a directory is not a file
    ],
)
def test_a_glob(tmp_path: Path, pattern: str, names: list[str]) -> None:
    fill(tmp_path, "a.csv", "b.csv", "c.jsonl", "deep/d.csv")
    assert found(tmp_path / pattern, tmp_path) == names


def test_a_file_of_a_package_is_found_without_importing_it() -> None:
    [file] = find_files("package:tfx/examples/chicago_taxi_pipeline/data/simple/data.csv")
    assert file.format == "csv"
    assert Path(file.path).read_text().startswith("pickup_community_area,fare,")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("package:no_such_package/data.csv", "the package no_such_package is not installed."),
        ("package:no_such.package/data.csv", "the package no_such.package is not installed."),
        ("package:", "the package  is not installed."),
        ("package:json.decoder/data.csv", "the package json.decoder is not installed."),  # a module holds no files
        ("package:tfx/no_such_file.csv", "no such file or directory. Name the data with --data PATH."),
        ("", "data names no files. Name the data with --data PATH."),  # and not those of the current directory
    ],
)
def test_data_that_names_nothing(data: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        find_files(data)
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("nope.csv", r"nope\.csv: no such file or directory\. Name the data with --data PATH\.$"),
        ("nope/*.csv", r"nope/\*\.csv: no file matches\. Check the pattern, and quote it so that the shell"),
        ("data-{SPAN}.csv", r"data-\{SPAN\}\.csv: no file matches\. Check the pattern against the names"),
        ("empty_directory", r"empty_directory: the directory holds no file ending in \.csv, \.parquet, \.jsonl"),
        ("notes.txt", r"notes\.txt: the name does not say the format; accepted: \.csv, \.parquet, \.jsonl"),
        ("data.csv.gz", r"data\.csv\.gz: the name does not say the format"),
        ("*.txt", r"notes\.txt: the name does not say the format"),
        ("empty.csv", r"empty\.csv: the file is empty\. Remove it, or name other data with --data PATH\.$"),
        ("empty*.csv", r"empty\.csv: the file is empty"),
    ],
)
def test_no_match(tmp_path: Path, data: str, message: str) -> None:
    fill(tmp_path, "notes.txt", "data.csv.gz")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "empty_directory").mkdir()
    with pytest.raises(InputError, match=message):
        find_files(str(tmp_path / data))


@pytest.mark.parametrize(
    ("names", "pattern", "spans", "expected"),
    [
        (["s1.csv", "s2.csv", "s10.csv"], "s{SPAN}.csv", 1, ["s10.csv"]),  # numbers, not text
        (["s1.csv", "s2.csv", "s10.csv"], "s{SPAN}.csv", 2, ["s10.csv", "s2.csv"]),
        (["s1.csv", "s2.csv"], "s{SPAN}.csv", 9, ["s1.csv", "s2.csv"]),  # more than there are
        (["s002.csv", "s010.csv"], "s{SPAN}.csv", 1, ["s010.csv"]),  # padded with zeros
        (["s1-v1.csv", "s1-v2.csv", "s1-v10.csv"], "s{SPAN}-v{VERSION}.csv", 1, ["s1-v10.csv"]),
        (
            ["s1-v3.csv", "s2-v1.csv", "s2-v2.csv"],  # the latest version of each span
            "s{SPAN}-v{VERSION}.csv",
            2,
            ["s1-v3.csv", "s2-v2.csv"],
        ),
        (["s1/b.csv", "s2/a.csv", "s2/b.csv", "s2/no/c.csv"], "s{SPAN}/*.csv", 1, ["s2/a.csv", "s2/b.csv"]),
        (["s1/v1/a.csv", "s1/v2/a.csv"], "s{SPAN}/v{VERSION}/*", 1, ["s1/v2/a.csv"]),
        (["s1.csv", "sx.csv", "s.csv", "s2.csv.old"], "s{SPAN}.csv", 2, ["s1.csv"]),  # not numbers
        (["s1.csv", "s1xcsv"], "s{SPAN}.csv", 1, ["s1.csv"]),  # a dot is a dot
        (["a[1]/s1.csv", "a1/s2.csv"], "a[1]/s{SPAN}.csv", 1, ["a[1]/s1.csv"]),  # only * is special
        (
            ["2016-02-29.csv", "2015-12-31.csv", "2016-03-01.csv"],
            "{YYYY}-{MM}-{DD}.csv",
            2,
            ["2016-02-29.csv", "2016-03-01.csv"],
        ),
        (["2016/03/01/x.csv", "2016/02/29/x.csv"], "{YYYY}/{MM}/{DD}/*.csv", 1, ["2016/03/01/x.csv"]),
        (["20160301-v1.csv", "20160301-v2.csv"], "{YYYY}{MM}{DD}-v{VERSION}.csv", 1, ["20160301-v2.csv"]),
        (["2016-3-1.csv", "2016-03-02.csv"], "{YYYY}-{MM}-{DD}.csv", 2, ["2016-03-02.csv"]),  # two digits
    ],
)
def test_the_latest_spans(tmp_path: Path, names: list[str], pattern: str, spans: int, expected: list[str]) -> None:
    fill(tmp_path, *names)
    assert found(tmp_path / pattern, tmp_path, spans) == expected


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("2016-03-01", ["2016-02-29-v2.csv", "2016-03-01-v1.csv"]),  # itself included, and its latest version
        ("2016-03-02", ["2016-02-29-v2.csv", "2016-03-01-v1.csv"]),  # a day without a file
        ("2016-02-29", ["2016-01-31-v1.csv", "2016-02-29-v2.csv"]),  # nothing of later days
        ("2016-01-31", ["2016-01-31-v1.csv"]),  # the first
        ("2017-01-01", ["2016-03-01-v1.csv", "2016-04-01-v1.csv"]),
    ],
)
def test_the_latest_days_until_one(until: str, expected: list[str], tmp_path: Path) -> None:
    fill(
        tmp_path,
        "2016-01-31-v1.csv",
        "2016-02-29-v1.csv",
        "2016-02-29-v2.csv",
        "2016-03-01-v1.csv",
        "2016-04-01-v1.csv",
    )
    files = find_files(str(tmp_path / "{YYYY}-{MM}-{DD}-v{VERSION}.csv"), 2, datetime.date.fromisoformat(until))
    assert [Path(file.path).name for file in files] == expected


def test_a_day_before_all_others_is_an_error(tmp_path: Path) -> None:
    fill(tmp_path, "2016-03-01.csv")
    with pytest.raises(InputError, match="there is nothing until 2016-02-29; the first day is 2016-03-01"):
        find_files(str(tmp_path / "{YYYY}-{MM}-{DD}.csv"), 1, datetime.date(2016, 2, 29))


def test_numbered_spans_have_no_day(tmp_path: Path) -> None:
    fill(tmp_path, "s1.csv")
    with pytest.raises(InputError, match=r"until: 2016-02-29 is a day, and \{SPAN\} counts something else"):
        find_files(str(tmp_path / "s{SPAN}.csv"), 1, datetime.date(2016, 2, 29))


def test_an_impossible_date_is_an_error(tmp_path: Path) -> None:
    fill(tmp_path, "2015-02-29.csv", "2016-03-01.csv")
    with pytest.raises(InputError, match=r"2015-02-29\.csv: .* reads a day from its name that no calendar has\."):
        find_files(str(tmp_path / "{YYYY}-{MM}-{DD}.csv"))


@pytest.mark.parametrize(
    "pattern",
    [
        "{VERSION}.csv",  # versions of what?
        "{YYYY}.csv",
        "{YYYY}-{MM}.csv",
        "{SPAN}-{SPAN}.csv",
        "{SPAN}-{YYYY}-{MM}-{DD}.csv",
        "{SPAN}-{MM}.csv",
        "{SPAN}-v{VERSION}-{VERSION}.csv",
    ],
)
def test_a_pattern_that_says_too_little_or_too_much(pattern: str) -> None:
    with pytest.raises(InputError, match=r"a pattern has either \{SPAN\}, or all of \{YYYY\}, \{MM\} and \{DD\}, each"):
        find_files(pattern)
