"""`twinbeam explain`: what it prints, and what it says of a feature, key or time that there is not."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from pipeline.cli.explain import explain_command
from tests.pipeline.jobs.rides import RIDES, START, write

app = typer.Typer()
app.command("explain")(explain_command)

AT = "2014-05-13T17:53:20Z"
"""An hour after the start."""


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    """Three rides of cab 1 and one of cab 2; the second of them is there twice."""
    rows: list[dict[str, Any]] = [
        {"at": START + 60 * minute, "cab": cab, "zone": "ring, east", "fare": fare, "note": None, "tip": 0.0, "big": 0}
        for minute, cab, fare in ((1, 1, 2.5), (30, 1, 12.25), (30, 1, 12.25), (60, 1, 1.0), (2, 2, 9.0))
    ]
    write(tmp_path / "rides.jsonl", rows)
    path = tmp_path / "features.yaml"
    path.write_text(RIDES)
    return path


def call(declared: Path, *arguments: str) -> Result:
    where = ["--features", str(declared), "--events", f"rides={declared.parent}/rides.jsonl",
             "--events", f"payments={declared.parent}/rides.jsonl"]  # fmt: skip
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [*arguments, *where])


def test_what_is_printed(declared: Path) -> None:
    result = call(declared, "fare_6h", "cab=1", AT)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"fare_6h of cab=1 at {AT}",
        "value       7.375 (401d800000000000)",
        "            7.375 (40ec0000), rounded once to what the model takes",
        "window      mean over 6h with a delay of 0s",
        "            from 2014-05-13T11:53:00Z, itself included: slot 1399981980",
        "            to   2014-05-13T17:53:20Z, itself left out: slot 1400003600",
        "            to   = s, where s = 1400003600 is the request's slot of 1s",
        "            from = floor((to - 21600) / 60) * 60",
        "events      5 of rides, 4 of this key, 2 of them in",
        f"            {declared.parent}/rides.jsonl",
        "in            2014-05-13T16:54:20Z  takes in 250  row 1, fare=2.5",
        "              2014-05-13T17:23:20Z  takes in 1225  row 2, fare=12.25",
        "out         own tick, in the tick of the request, which no request sees: 1",
        "              2014-05-13T17:53:20Z  takes in 100  row 4, fare=1.0",
        "out         duplicate, the same event is there before: 1",
        "              2014-05-13T17:23:20Z  takes in 1225  row 3, fare=12.25",
        "adds up to  count 2, sum 1475, in units of 1/100",
        "            cells 2, 2 values:",
        "              2014-05-13T16:54:20Z: 1",
        "              2014-05-13T17:23:20Z: 1",
    ]


def test_all_of_it_as_json(declared: Path) -> None:
    found = json.loads(call(declared, "tips", "cab=1", AT, "--json").stdout)
    assert found["feature"] == "tips"
    assert found["key"] == {"cab": 1}
    assert (found["time"], found["value"], found["bits"], found["empty"]) == (AT, -1, "bff0000000000000", True)
    assert found["events"] == {"read": 5, "of_key": 4, "counts": {"in": 0, "own tick": 1, "delay": 3}}
    assert found["window"]["delay"] == 3600
    assert [event["row"] for event in found["out"]["delay"]] == [1, 2, 3]
    assert found["out"]["delay"][1]["taken"] == [0, 1225]
    assert found["held"] == {"cells": [], "sums": [{"scale": 100, "sum": 0}, {"scale": 100, "sum": 0}]}
    assert found["online"] is None


def test_the_store_beside_it(declared: Path) -> None:
    store = f"sqlite://{declared.parent}/rows.db"
    lines = call(declared, "rides_1h", "cab=1", AT, "--store", store).stdout.splitlines()
    assert lines[-5:] == [
        "store       0 (0000000000000000): ANOTHER VALUE",
        "            unknown; not complete: events may still be missing",
        "            it knows nothing of rides",
        "its row     count 0",
        "            cells 0, 0 values",
    ]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("fares", "cab=1", AT), 9, "no live feature fares; nearest: fare_6h"),
        (("fare_6h", "cab", AT), 4, "KEY cab: accepted: cab=INT."),
        (("fare_6h", "zone=north", AT), 4, "KEY zone=north: accepted: cab=INT."),
        (("fare_6h", "cab=one", AT), 4, "KEY cab=one: accepted: a whole number below 2^63."),
        (("fare_6h", "cab=1", "cab=2", AT), 4, "KEY: cab is there twice. Leave one."),
        (("cheap_here", "cab=1", AT), 4, "KEY: zone is missing; accepted: zone=STRING cab=INT."),
        (("fare_now", "cab=1", AT), 4, "KEY: fare is missing; accepted: cab=INT fare=FLOAT."),
        (("fare_6h", "cab=1", "noon"), 2, "'noon'; accepted: a time such as 2016-06-01T12:30:00Z."),
        (("fare_6h", "cab=1", AT, "--set", "live.tick=0s"), 3, "accepted: a duration longer than 0s"),
        (("fare_6h", "cab=1", AT, "--events", "rides=/nowhere/x.csv"), 4, "/nowhere/x.csv"),
        (("fare_6h", "cab=1", AT, "--store", "nowhere://x"), 4, "nowhere"),
    ],
)
def test_what_is_not_accepted(declared: Path, arguments: tuple[str, ...], exit_code: int, words: str) -> None:
    result = call(declared, *arguments)
    assert result.exit_code == exit_code, result.output
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
