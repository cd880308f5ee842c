"""A skew in the whole pipeline: the run says what differs, nothing is pushed, and the previous version stays."""

import html
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline.parity.transformed as transformed_check
from modules.spec import ParityError
from pipeline.parity.exported import named_inputs
from pipeline.parity.server import Server
from tests.pipeline.cli.in_process import call
from tests.pipeline.cli.test_cache import states
from tests.pipeline.cli.trips import Trips, tree
from tests.pipeline.jobs.conftest import quick_disk
from tests.pipeline.parity.test_skews import STREAM

__all__ = ["quick_disk"]

Planting = Callable[[pytest.MonkeyPatch], None]


def _fares_in_other_units(patch: pytest.MonkeyPatch) -> None:
    def inputs(*given: Any) -> dict[str, Any]:
        right = named_inputs(*given)
        return right | {"fare": right["fare"] / np.float32(60)}

    patch.setattr(transformed_check, "named_inputs", inputs)


def _other_class_over_grpc(patch: pytest.MonkeyPatch) -> None:
    by_grpc = Server.by_grpc
    patch.setattr(Server, "by_grpc", lambda self, inputs: 1 - by_grpc(self, inputs))


@pytest.mark.parametrize(
    ("plant", "check", "named"),
    [
        (_fares_in_other_units, "transformed features", "fare ("),
        (_other_class_over_grpc, "scores", "score by serving_default over gRPC ("),
    ],
)
def test_a_skew_withholds_the_model(
    again: Trips, monkeypatch: pytest.MonkeyPatch, plant: Planting, check: str, named: str
) -> None:
    before = again.pushed()
    plant(monkeypatch)
    run = again.call("run", "--set", "gate.rows=40")  # the same model, judged again
    assert run.exit_code == ParityError.exit_code == 12
    assert re.search("^reused Evaluator ", run.out, re.MULTILINE)
    assert re.search(f"^done   ParityGate .*{check}: .* values of 40 rows compared, .* differ: {re.escape(named)}",
                     run.out, re.MULTILINE)  # fmt: skip
    assert "error: training and serving do not agree, and the model was not pushed.\n" in run.err
    assert f"\n{check}: " in run.err
    assert len(re.findall(r"^  .* of row_id=[0-9a-f]{32} at .*: expected .* \(", run.err, re.MULTILINE)) == 3
    assert again.pushed() == before
    [page] = re.findall(r"^The report of this run is (.*)\.$", run.err, re.MULTILINE)
    assert Path(page) == again.output / "report-withheld.html"
    text = html.unescape(Path(page).read_text())
    assert "Withheld by the gate" in text
    assert "version 1" not in text
    assert f"{check}: where they differ" in text
    assert text.count("<mark>") >= 20  # of ten differences both sides
    [kept] = re.findall(r"^All of it is in (.*/checks\.json);", run.err, re.MULTILINE)
    failed = [each for each in json.loads(Path(kept).read_text()) if not each["passed"]]
    assert [each["name"] for each in failed] == [check]
    assert len(failed[0]["differences"]) == 10

    # Withheld is not failed: the next run takes it over, and is refused again.
    run = again.call("run", "--set", "gate.rows=40", "--json")
    assert run.exit_code == 12
    assert run.result["error"].startswith("training and serving do not agree")
    assert again.pushed() == before

    # Once a run succeeds, what was withheld is past.
    monkeypatch.undo()
    run = again.call("run")
    assert run.exit_code == 0
    assert not Path(page).exists()


def test_a_skew_of_a_live_feature_withholds_the_model(
    taxi_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_disk: None
) -> None:
    """The run of the taxi data, of which only the gate runs again: the store answers in float32."""
    output = Path(shutil.copytree(taxi_run, tmp_path / "build"))
    before = tree(output / "serving_model")
    plant, feature = STREAM["the store answers in float32"]
    plant(monkeypatch)
    run = call("run", "--set", "gate.rows=40", "--output", output)
    assert run.exit_code == 12
    assert re.search("^reused ExampleGen ", run.out, re.MULTILINE)
    assert re.search(f"^done   ParityGate .*live features: .* of the stream to 40 rows .* differ: .*{feature} ",
                     run.out, re.MULTILINE)  # fmt: skip
    assert re.search(r"^  \w+ of \w+=.* at .*: expected .* \([0-9a-f]{16}\), found .*$", run.err, re.MULTILINE)
    assert tree(output / "serving_model") == before


def test_what_the_run_says_of_the_gate(again: Trips) -> None:
    run = again.call("run", "--set", "gate.rows=40")
    assert run.exit_code == 0, run.err
    assert re.search(r"^done   ParityGate .* 5 checks, [0-9,]+ values, none differs$", run.out, re.MULTILINE)
    record = json.loads((again.output / "last_run.json").read_text())
    assert [(each["name"], each["passed"]) for each in record["parity"]] == [
        ("transformed features", True), ("scores", True), ("defaults", True), ("latency and size", True),
        ("contract", True),
    ]  # fmt: skip
    page = html.unescape((again.output / "report.html").read_text())
    assert all(each["sentence"] in page for each in record["parity"])


def test_a_greater_sample_is_judged_again_and_nothing_else_is(again: Trips) -> None:
    run = again.call("run", "--set", "gate.rows=all")
    assert run.exit_code == 0, run.err
    done = {name for name, state in states(run.out).items() if state == "done"}
    assert done <= {"ParityGate", "Pusher", "Baseline", "CuratedSchema"}
    assert "ParityGate" in done
