"""What `twinbeam features` shows of the declared live features."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from modules.spec import load_declaration
from pipeline.cli.features import features_app
from tests.modules.spec.shop import LIVE, SHOP

AT = "2024-03-01T12:00:07.5Z"
MORE = """\
    spent_max_7d: {source: orders, key: [colour, gift], aggregation: max, value: spent, scale: 100, window: 7d,
                   delay: 5m, default: 0.0912345678}
    spent_min_7d: {source: orders, key: [shopper], aggregation: min, value: count, window: 7d, default: 0}
    spent_last_7d: {source: orders, key: [shopper], aggregation: last, value: price, scale: 100, window: 7d, default: 0}
    clicks_sd_1d: {source: visits, key: [shopper], aggregation: stddev, value: clicks, window: 1d, default: 0,
                   filter: [{column: page, one_of: [home, "a [b]"]}, {column: seconds, above: 1.5, at_most: 60}]}
    home_share_1d: {source: visits, key: [shopper], aggregation: ratio, filter: [{column: page, one_of: [home]}],
                    over: {}, window: 1d, default: 0}
"""


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    path = tmp_path / "features.yaml"
    path.write_text(LIVE + MORE)
    return path


def call(*arguments: str, features: Path) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(features_app, [*arguments, "--features", str(features)])


def shown(*arguments: str, features: Path) -> str:
    """What is printed, each line without the blanks around it."""
    result = call(*arguments, features=features)
    assert result.exit_code == 0, result.output
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    return "\n".join(line.strip() for line in result.stdout.splitlines())


def as_json(*arguments: str, features: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(call(*arguments, "--json", features=features).stdout)
    return result


def test_the_list(declared: Path) -> None:
    assert shown("list", features=declared).splitlines() == [
        "name                 aggregation      window  delay  dtype         default",
        "orders by shopper",
        "orders_7d            count                7d     0s  int64               0",
        "price_mean_1h        mean                 1h     0s  float64             0",
        "spent_30d            sum                 30d     1d  float64             0",
        "spent_min_7d         min                  7d     0s  float64             0",
        "spent_last_7d        last                 7d     0s  float64             0",
        "visits by shopper",
        "visits_1d            count                1d     1h  int64               0",
        "pages_1d             approx_distinct      1d     0s  int64               0",
        "clicks_by_second_1d  ratio                1d     1h  float64            -1",
        "clicks_sd_1d         stddev               1d     0s  float64             0",
        "home_share_1d        ratio                1d     0s  float64             0",
        "orders by colour, gift",
        "spent_max_7d         max                  7d     5m  float64  0.0912345678",
    ]


def test_the_page_of_a_feature(declared: Path) -> None:
    declaration = load_declaration(declared)
    page = shown("show", "spent_30d", "--at", AT, features=declared)
    assert page.splitlines() == [
        "spent_30d",
        "",
        "source       orders, timed by at",
        "key          shopper",
        "A null in it: no event is counted, and a request gets the default.",
        "value        sum = S / 100",
        "S = sum of rint(spent * 100) over events",
        "window       length    30d = 2,592,000 ticks of 1s",
        "delay      1d = 86,400 ticks of 1s",
        "step       1h = 3,600 ticks of 1s",
        "edge      10m = 600 ticks of 1s",
        "sees         events with from <= slot < to, where slot = floor(time / 1s),",
        "for a request in slot s",
        "to   = floor((s - 86400) / 600) * 600",
        "from = floor((to - 2592000) / 3600) * 3600",
        "A request at 2024-03-01T12:00:07.500000Z, s = 1709294407,",
        "sees from 2024-01-30T12:00:00Z, itself included,",
        "to   2024-02-29T12:00:00Z, itself left out.",
        "late         An event counts if it is ingested at most 5m after its time, and",
        "not before it.",
        "Recorded events have no ingest time here, so all of them count.",
        "freshness    The same in training and in serving as long as the stream lags by",
        "at most 23h 55m (delay - lateness = 1d - 5m).",
        "default      0 where no event has a value",
        "dtype        float64, rounded once to what the model takes",
        "transform    scale",
        f"features     {declaration.features_fingerprint}",
        "the fingerprint of sources, keys and live features",
        f"declaration  {declaration.fingerprint}",
        "the fingerprint of all that is declared",
    ]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("orders_7d", ["value        count = n", "n = events", "to   = s", "default      0 where no event is counted"]),
        ("orders_7d", ["freshness    Nothing is promised while the stream lags, because delay is below"]),
        ("visits_1d", ["freshness    The same in training and in serving only while the stream does not",
                       "lag (delay - lateness = 1h - 1h)."]),
        ("visits_1d", ["Visits of a day, robots left out.", "n = events where bot is false and clicks >= 1"]),
        ("visits_1d", ["late         An event counts if it is ingested at most 1h after its time, or at",
                       "most 1s before it."]),
        ("price_mean_1h", ["value        mean = S / (n * 100)", "n = events where price is not null"]),
        ("price_mean_1h", ["to   2024-03-01T12:00:07Z, itself left out.", "The request counts as one more event."]),
        ("price_mean_1h", ["from = floor((to - 3600) / 10) * 10"]),
        ("spent_max_7d", ["key          colour, gift", "value        max = the greatest x / 100",
                          "x = rint(spent * 100) of events", "default      0.0912345678 where no event has a value"]),
        ("spent_min_7d", ["value        min = the least x", "x = count of events"]),  # whole numbers as they are
        ("spent_last_7d", ["value        last = the last x / 100", "Of equal times the greatest x is the last."]),
        ("clicks_sd_1d", ["value        stddev = sqrt((n * Q - S^2) / (n * (n - 1)))",
                          "Q = the same of the squares",
                          "default      0 where fewer than two events have a value"]),
        ("clicks_sd_1d", ['S = sum of clicks over events where page is "home" or "a [b]" and',  # brackets as they are
                          "seconds > 1.5 and seconds <= 60"]),
        ("pages_1d", ["value        approx_distinct = how many different x there are, by HyperLogLog",
                      "x = page of events", "The standard error is 3 %."]),
        ("clicks_by_second_1d", ["value        ratio = (A * 1000) / (B * 1)", "A = sum of clicks over events",
                                 "B = sum of rint(seconds * 1000) over events", "default      -1 where B is 0"]),
        ("home_share_1d", ["value        ratio = A / B", 'A = sum of 1 over events where page is "home"',
                           "B = sum of 1 over events"]),
    ],
)  # fmt: skip
def test_the_words_of_a_page(declared: Path, name: str, lines: list[str]) -> None:
    page = shown("show", name, "--at", AT, features=declared).splitlines()
    assert [line for line in lines if line not in page] == []


def test_the_transform_and_its_numbers(declared: Path) -> None:
    override = "live.features.orders_7d.transform={name: vocabulary, top: 5}"
    page = shown("show", "orders_7d", "--set", override, features=declared)
    assert "transform    vocabulary, top: 5, oov_buckets: 1" in page.splitlines()


@pytest.mark.parametrize(
    ("at", "stop"),
    [
        ("2024-03-01T13:00:07+01:00", "2024-02-29T12:00:00Z"),  # the same instant
        ("2024-03-01T12:09:59", "2024-02-29T12:00:00Z"),  # UTC, where it does not say
        ("2024-03-01T12:10:00", "2024-02-29T12:10:00Z"),
        ("1969-12-31T23:59:59Z", "1969-12-30T23:50:00Z"),  # floor, and not towards 1970
        ("0001-01-01T00:00:00Z", "before the year 1"),
    ],
)
def test_the_time_of_the_example(declared: Path, at: str, stop: str) -> None:
    assert as_json("show", "spent_30d", "--at", at, features=declared)["example"]["to"] == stop


def test_the_example_is_of_now_by_default(declared: Path) -> None:
    assert as_json("show", "spent_30d", features=declared)["example"]["slot"] > 1_700_000_000


def test_one_json_object(declared: Path) -> None:
    declaration = load_declaration(declared)
    assert as_json("show", "visits_1d", "--at", AT, features=declared) == {
        "name": "visits_1d",
        "description": "Visits of a day, robots left out.",
        "source": "visits",
        "key": ["shopper"],
        "aggregation": "count",
        "value": None,
        "scale": None,
        "filter": [
            {"column": "bot", "one_of": [False], "at_least": None, "above": None, "at_most": None, "below": None},
            {"column": "clicks", "one_of": None, "at_least": 1.0, "above": None, "at_most": None, "below": None},
        ],
        "over": None,
        "window": "1d",
        "delay": "1h",
        "include_request": False,
        "default": 0,
        "transform": {"name": "log"},
        "dtype": "int64",
        "formula": "n",
        "ticks": {"tick": "1s", "window": 86400, "delay": 3600, "step": 600, "edge": 10},
        "time": "seen",
        "ingest_time": "logged",
        "lateness": "1h",
        "ahead": "1s",
        "stream_may_lag": "0s",
        "example": {
            "at": "2024-03-01T12:00:07.500000Z",
            "slot": 1709294407,
            "from": "2024-02-29T11:00:00Z",
            "to": "2024-03-01T11:00:00Z",
        },
        "features_fingerprint": declaration.features_fingerprint,
        "fingerprint": declaration.fingerprint,
    }


def test_the_list_as_json_has_what_the_pages_have(declared: Path) -> None:
    listed = as_json("list", features=declared)
    assert [feature["name"] for feature in listed["features"]] == list(load_declaration(declared).live_features)
    for feature in listed["features"]:
        page = as_json("show", feature["name"], "--at", AT, features=declared)
        assert feature.items() <= page.items()
    assert (listed["dataset"], listed["features_fingerprint"]) == ("shop", page["features_fingerprint"])


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("orders_7", "nearest: orders_7d"),
        ("spent", "nearest: spent_30d, spent_min_7d, spent_max_7d"),
        ("zzz", "declared: orders_7d, price_mean_1h, spent_30d, visits_1d, pages_1d, clicks_by_second_1d, "
                "spent_max_7d, spent_min_7d, spent_last_7d, clicks_sd_1d, home_share_1d"),
    ],
)  # fmt: skip
def test_a_name_that_is_not_declared(declared: Path, name: str, hint: str) -> None:
    result = call("show", name, features=declared)
    assert result.exit_code == 9
    assert result.stderr == f"error: {declared}: no live feature {name}; {hint}.\n"
    assert as_json("show", name, features=declared)["exit_code"] == 9


def test_without_live_features(tmp_path: Path) -> None:
    path = tmp_path / "features.yaml"
    path.write_text(SHOP)
    message = f"{path}: no live features are declared; docs/live_features.md says how."
    listed = call("list", features=path)
    assert (listed.exit_code, listed.stdout) == (0, message + "\n")
    assert as_json("list", features=path)["features"] == []
    page = call("show", "orders_7d", features=path)
    assert (page.exit_code, page.stderr) == (9, f"error: {message}\n")


def test_a_declaration_that_is_not_accepted(declared: Path) -> None:
    for command in (["list"], ["show", "orders_7d"]):
        result = call(*command, "--set", "live.tick=0s", features=declared)
        assert result.exit_code == 3
        assert result.stderr == 'error: --set: live.tick: read "0s"; accepted: a duration longer than 0s.\n'


def test_a_time_that_is_none(declared: Path) -> None:
    result = call("show", "orders_7d", "--at", "noon", features=declared)
    assert result.exit_code == 2
    assert "'noon'; accepted: a time such as" in result.stderr


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = ("tensorflow", "tfx", "apache_beam", "numpy", "pyarrow", "keras", "pandas")
    code = f"import sys, pipeline.cli.features; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
