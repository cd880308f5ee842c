"""`twinbeam predict`: rows as JSON in, scores out, the same as the Evaluator's to the last bit."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from modules.spec import EVAL, ROW_ID
from pipeline.ingest.examples import values_of
from tests.conftest import ROOT
from tests.pipeline.cli.conftest import Trained
from tests.pipeline.cli.trips import Trips

INPUT, NOT_FOUND = 4, 9
ROW = {"fare": 12.5, "trip_seconds": 600, "payment_type": "Cash"}
FEATURES = tuple(ROW)


def predict(trips: Trips, rows: Any, *arguments: str) -> Any:
    run = trips.call("predict", "--json", rows if isinstance(rows, str) else json.dumps(rows), *arguments)
    assert run.exit_code == 0, run.out
    assert run.err == ""
    return run.result


def refused(trips: Trips, rows: str, *arguments: str) -> tuple[int, str]:
    run = trips.call("predict", "--json", rows, *arguments)
    assert run.err == ""
    assert run.result["exit_code"] == run.exit_code
    return run.exit_code, run.result["error"]


def scores_of(trips: Trips) -> tuple[list[dict[str, Any]], list[float]]:
    """The eval split's rows and the Evaluator's scores of them."""
    [examples] = (trips.output / "artifacts" / "ExampleGen" / "examples").glob(f"*/Split-{EVAL}/*.parquet")
    [scores] = (trips.output / "artifacts" / "Evaluator" / "evaluation").glob("*/scores/*.parquet")
    batch, judged = pq.read_table(examples), pq.read_table(scores)
    assert values_of(batch, ROW_ID).to_pylist() == judged[ROW_ID].to_pylist()
    columns = {name: values_of(batch, name).to_pylist() for name in FEATURES}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [_as_json(row) for row in rows], judged["score"].to_pylist()


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in row.items()}


def bits(scores: list[float]) -> list[int]:
    return np.asarray(scores, np.float32).view(np.int32).tolist()


def test_scores_are_the_evaluators_bit_for_bit(trained: Trained) -> None:
    rows, judged = scores_of(trained.trips)
    assert len(rows) == 120
    assert any(row["trip_seconds"] is None for row in rows)
    assert bits(predict(trained.trips, rows)["score"]) == bits(judged)  # all at once
    lacking = next(number for number, row in enumerate(rows) if row["trip_seconds"] is None)
    for number in (0, lacking, len(rows) - 1):
        assert bits(predict(trained.trips, rows[number])["score"]) == bits([judged[number]])  # each alone


def test_an_optional_feature_may_be_left_out_or_null(trained: Trained) -> None:
    left_out = {name: value for name, value in ROW.items() if name != "trip_seconds"}
    scores = predict(trained.trips, [left_out, left_out | {"trip_seconds": None}, ROW])["score"]
    assert scores[0] == scores[1] != scores[2]
    assert predict(trained.trips, left_out)["score"] == scores[:1]
    assert predict(trained.trips, ROW | {"trip_seconds": 0})["score"] != scores[:1]  # absent is no value, not even zero


def test_it_names_the_model(trained: Trained) -> None:
    newest = str(trained.trips.serving / "1")
    assert predict(trained.trips, ROW)["model"] == newest
    assert predict(trained.trips, ROW, "--version", "1")["model"] == newest


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW | {"weather": "wet"}, "--json, row 1: weather: unknown; accepted: fare, payment_type, trip_seconds."),
        (ROW | {"fare": "12"}, '--json, row 1: fare: read "12"; accepted: a finite number.'),
        (ROW | {"fare": True}, "--json, row 1: fare: read true; accepted: a finite number."),
        (ROW | {"fare": float("nan")}, "--json, row 1: fare: read NaN; accepted: a finite number."),
        (ROW | {"fare": 1e39}, "--json, row 1: fare: read 1e+39; accepted: a finite number."),  # no float32
        (ROW | {"fare": 10**400}, "accepted: a finite number."),  # no float64 either
        (ROW | {"trip_seconds": 1.5}, "--json, row 1: trip_seconds: read 1.5; accepted: a whole number, or true or"),
        (ROW | {"trip_seconds": 2**63}, "--json, row 1: trip_seconds: read 9223372036854775808; accepted: a whole"),
        (ROW | {"payment_type": 1}, "--json, row 1: payment_type: read 1; accepted: text."),
        (ROW | {"payment_type": "\ud800"}, r'--json, row 1: payment_type: read "\ud800"; accepted: text.'),
        ({"payment_type": "Cash"}, "--json, row 1: fare is missing, and the model needs it in every row."),
        (ROW | {"fare": None}, "--json, row 1: fare is missing, and the model needs it in every row."),
    ],
)  # fmt: skip
def test_a_row_that_the_model_does_not_take(trained: Trained, row: dict[str, Any], message: str) -> None:
    exit_code, error = refused(trained.trips, json.dumps(row))
    assert exit_code == INPUT
    assert message in error
    assert "row 2: " in refused(trained.trips, json.dumps([ROW, row]))[1]  # and it says which of several


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{fare: 12}", "--json: not JSON at character 2: "),
        ("", "--json: not JSON at character 1: "),
        ("12", '--json: accepted: an object such as {"fare": 12.5}, or an array of objects.'),
        ("[]", "--json: accepted: an object"),
        ("[[]]", "--json: accepted: an object"),
        ('{"fare": ' + "1" * 5000 + "}", "--json: cannot be read: "),  # Python reads 4,300 digits
        ("[" * 100_000, "--json: cannot be read: "),
    ],
)
def test_what_is_no_row(trained: Trained, text: str, message: str) -> None:
    exit_code, error = refused(trained.trips, text)
    assert exit_code == INPUT
    assert message in error


def test_no_such_model(trained: Trained, trips: Trips) -> None:
    assert refused(trips, json.dumps(ROW)) == (
        NOT_FOUND, f"{trips.serving}: no model has been pushed here. Train one with `twinbeam run`."
    )  # fmt: skip
    assert refused(trained.trips, json.dumps(ROW), "--version", "7") == (
        NOT_FOUND, f"{trained.trips.serving}: there is no version 7; found 1."
    )  # fmt: skip


@pytest.mark.slow
def test_the_line_at_the_end_of_a_run_works_when_pasted_into_a_shell(trained: Trained, tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    uv.write_text(
        f'#!/bin/sh\n[ "$1 $2" = "run twinbeam" ] && shift 2 && exec {sys.executable} -m pipeline.cli.main "$@"\n'
    )
    uv.chmod(0o755)
    [line] = re.findall("^ask it  (.*)$", trained.run.out, re.MULTILINE)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows, judged = scores_of(trained.trips)
    assert bits(json.loads(done.stdout)["score"]) == bits(judged[:1])
    assert rows[0]["payment_type"] in line
