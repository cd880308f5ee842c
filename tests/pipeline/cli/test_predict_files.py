"""`twinbeam predict --requests`: rows in files in, their scores as Parquet out."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from modules.spec import ROW_ID
from tests.conftest import Run
from tests.pipeline.cli.conftest import Trained
from tests.pipeline.cli.in_process import call
from tests.pipeline.cli.test_predict import bits
from tests.pipeline.cli.trips import Trips, read_csv, write_csv

OPTIONS, DECLARATION, INPUT, OUTPUT, NOT_FOUND = 2, 3, 4, 7, 9


def predict(trips: Trips, to: Path, *more: str | Path) -> Run:
    return trips.call("predict", "--requests", trips.data, "--to", to, *more)


def judged(trips: Trips) -> dict[str, float]:
    """The Evaluator's scores, by the rows' ids."""
    [scores] = (trips.output / "artifacts" / "Evaluator" / "evaluation").glob("*/scores/*.parquet")
    table = pq.read_table(scores)
    return dict(zip((each.decode() for each in table[ROW_ID].to_pylist()), table["score"].to_pylist(), strict=True))


def test_scores_are_the_evaluators_bit_for_bit(trained: Trained, tmp_path: Path) -> None:
    run = predict(trained.trips, tmp_path / "out")
    assert (run.exit_code, run.err) == (0, "")
    assert run.result == {
        "model": str(trained.trips.serving / "1"), "requests": 600, "scored": 600, "too_old": 0, "incomplete": 0,
        "events": {}, "not_counted": [], "output": str(tmp_path / "out"),
    }  # fmt: skip
    found = pq.read_table(tmp_path / "out")
    assert found.column_names == [*read_csv(trained.trips.data)[0], ROW_ID, "score"]
    scores = dict(zip(found[ROW_ID].to_pylist(), found["score"].to_pylist(), strict=True))
    wanted = judged(trained.trips)
    assert len(wanted) == 120
    assert bits([scores[each] for each in wanted]) == bits(list(wanted.values()))


def test_of_rows_whose_tip_nobody_knows(trained: Trained, tmp_path: Path) -> None:
    rows = [{name: value for name, value in row.items() if name != "tips"} for row in read_csv(trained.trips.data)]
    write_csv(rows, tmp_path / "asked.csv")
    assert predict(trained.trips, tmp_path / "known", "--version", "1", "--batch-size", "7").exit_code == 0
    assert predict(trained.trips, tmp_path / "out", "--requests", tmp_path / "asked.csv").exit_code == 0
    found, known = pq.read_table(tmp_path / "out"), pq.read_table(tmp_path / "known")
    assert found["tips"].null_count == len(rows)
    assert found["score"].equals(known["score"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give one of them: rows as JSON, or files of rows"),
        (["--json", "{}", "--requests", "a.csv", "--to", "b"], "give one of them: rows as JSON, or files of rows"),
        (["--json", "{}", "--to", "b"], "these go with --requests"),
        (["--json", "{}", "--store", "sqlite://a"], "these go with --requests"),
        (["--json", "{}", "--events", "a.csv"], "these go with --requests"),
        (["--json", "{}", "--batch-size", "8"], "these go with --requests"),
        (["--requests", "a.csv"], "name the directory to write"),
        (["--requests", "a.csv", "--to", "b", "--events", "c", "--store", "d"], "give one of them, or none"),
        (["--requests", "a.csv", "--to", "b", "--batch-size", "0"], "greater than or equal to 1"),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], said: str) -> None:
    run = call("predict", *arguments)
    assert run.exit_code == OPTIONS
    assert said in " ".join(run.err.replace("│", " ").split())  # it is printed in a box


@pytest.mark.parametrize(
    ("more", "exit_code", "said"),
    [
        (["--requests", "nowhere.csv"], INPUT, "nowhere.csv: no such file or directory"),
        (["--version", "7"], NOT_FOUND, "there is no version 7; found 1."),
        (["--output", "nowhere"], NOT_FOUND, "nowhere/serving_model/trips: no model has been pushed here. Train one"),
        (["--store", "sqlite://a.db"], DECLARATION, "live: there are no live features to look up. Leave out --events"),
        (["--events", "a.csv"], DECLARATION, "live: there are no live features to look up. Leave out --events"),
        (["--set", "columns.fare.missing=mean"], DECLARATION, "for fare the model takes float32, and the declaration"),
        (["--set", "columns.fare.role=what"], DECLARATION, "columns.fare.role"),
    ],
)
def test_what_is_refused(trained: Trained, tmp_path: Path, more: list[str], exit_code: int, said: str) -> None:
    run = predict(trained.trips, tmp_path / "out", *more)
    assert (run.exit_code, run.err) == (exit_code, "")
    assert run.result["exit_code"] == exit_code
    assert said in run.result["error"]
    assert list(tmp_path.iterdir()) == []


def test_rows_that_do_not_fit(trained: Trained, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = read_csv(trained.trips.data)[:5]
    rows[2]["fare"], rows[3]["trip_start_timestamp"] = "", "soon"
    write_csv(rows, tmp_path / "asked.csv")
    run = predict(trained.trips, tmp_path / "out", "--requests", tmp_path / "asked.csv")
    assert run.exit_code == INPUT
    assert "row 3: read None. Accepted: a value in every request, because the model needs it." in run.result["error"]
    assert "row 4: read 'soon'. Accepted: a whole number of s since" in run.result["error"]
    assert [path.name for path in tmp_path.iterdir()] == ["asked.csv"]


def test_an_output_that_is_there(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    run = predict(trained.trips, tmp_path / "out")
    assert run.exit_code == OUTPUT
    assert json.loads(run.out)["error"] == (f"{tmp_path}/out: is there already. Remove it, or name another --to DIR.")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
