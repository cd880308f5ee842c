"""What has not changed is not done again; what has changed is."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipeline.cli.conftest import Trained
from tests.pipeline.cli.test_interrupt import artifacts_on_disk, live_artifacts
from tests.pipeline.cli.trips import Trips, finish, tree, wait_for


def states(out: str) -> dict[str, str]:
    """`reused` or `done`, by component."""
    return {name: state for state, name in re.findall(r"^(reused|done) +(\w+) ", out, re.MULTILINE)}


def test_nothing_changed(again: Trips) -> None:
    before = {name: content for name, content in tree(again.output).items() if not name.startswith("logs/")}
    command = [sys.executable, "-X", "importtime", "-m", "pipeline.cli.main", *again.arguments("run")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0
    assert re.search(
        "^Nothing has changed since the run of .*; nothing was run, nothing was pushed.$", run.stdout, re.M
    )
    assert f"model   {again.serving / '1'}\n" in run.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in run.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & {"tfx", "tensorflow", "apache_beam"}
    after = {name: content for name, content in tree(again.output).items() if not name.startswith("logs/")}
    assert after == before


def test_every_run_has_a_log_of_its_own(again: Trips) -> None:
    logs = {re.findall("^log: (.*)$", again.call("run").out, re.MULTILINE)[0] for _ in range(4)}
    assert logs <= {str(path) for path in (again.output / "logs").iterdir()}
    assert len(logs) == 4


def test_nothing_changed_as_json(again: Trips) -> None:
    run = again.call("run", "--json")
    assert run.result["ran"] is False
    assert run.result["model"] == str(trained_model(again))


def trained_model(trips: Trips) -> Path:
    return trips.directory / "build" / "serving_model" / "trips" / "1"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("serving_model", 1),  # emptied by hand: pushed again
        ("report.html", 1),  # drawn again, and the model is not pushed twice
        ("last_run.json", 1),
    ],
)
def test_what_was_removed_is_made_again_from_what_is_there(again: Trips, name: str, version: int) -> None:
    path = again.output / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    run = again.call("run")
    assert run.exit_code == 0
    assert {name for name, state in states(run.out).items() if state == "done"} <= {
        "Pusher",
        "Baseline",
        "CuratedSchema",
    }
    assert [path.name for path in again.serving.iterdir()] == [str(version)]
    assert path.exists()


@pytest.mark.slow
def test_no_cache_runs_all_and_keep_removes_what_no_run_needs(again: Trips) -> None:
    run = again.call("run", "--no-cache", "--keep", "1")
    assert run.exit_code == 0, run.err
    assert set(states(run.out).values()) == {"done"}
    assert [path.name for path in again.serving.iterdir()] == ["2"]
    elsewhere = live_artifacts(again.output) - artifacts_on_disk(again.output)
    assert {path.parent.name for path in elsewhere} == {"model", "blessing"}  # what the new model was compared with
    assert artifacts_on_disk(again.output) <= live_artifacts(again.output)  # the rest is gone, and marked as deleted
    assert counted(again) == {"ExampleGen/examples": 1, "Trainer/model": 1, "Evaluator/blessing": 1}

    # The next run takes over what it needs; keeping one run keeps that as well.
    run = again.call("run", "--keep", "1", "--set", "training.seed=2")
    assert run.exit_code == 0, run.err
    assert states(run.out)["Transform"] == "reused"
    assert states(run.out)["Trainer"] == "done"
    assert [path.name for path in again.serving.iterdir()] == ["3"]
    assert artifacts_on_disk(again.output) == live_artifacts(again.output)
    assert counted(again) == {"ExampleGen/examples": 1, "Trainer/model": 2, "Evaluator/blessing": 2}

    # Judged again, the model is still compared with the one before it.
    arguments = ("--keep", "1", "--set", "training.seed=2", "--set", "evaluation.thresholds.auc.at_least=0.05")
    run = again.call("run", *arguments)
    assert run.exit_code == 0, run.err
    assert states(run.out)["Trainer"] == "reused"
    assert re.search("^done   Baseline .* the last blessed model$", run.out, re.MULTILINE)


def counted(trips: Trips) -> dict[str, int]:
    """How many of some artifacts there are on disk."""
    names = ("ExampleGen/examples", "Trainer/model", "Evaluator/blessing")
    return {name: len(list((trips.output / "artifacts" / name).iterdir())) for name in names}


def test_keep_more_than_there_are(again: Trips) -> None:
    shutil.rmtree(again.serving)
    assert again.call("run", "--keep", "5").exit_code == 0
    live = live_artifacts(again.output)
    assert {path.parent.name for path in live} >= {"examples", "model", "blessing"}
    assert all(path.exists() for path in live)


@pytest.mark.slow
def test_an_edit_of_the_code_runs_everything_again(trained: Trained, again: Trips, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("modules", "pipeline"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "uv.lock", checkout)
    unedited = finish(again.start("run", root=checkout))
    assert "Nothing has changed" in unedited.out, unedited.err

    with (checkout / "modules" / "preprocessing.py").open("a") as code:
        code.write("\n_ADDED = True\n")
    process = again.start("run", root=checkout)
    lines = wait_for(process, "StatisticsGen")
    assert states("".join(lines))["ExampleGen"] == "done"
    assert finish(process, signal.SIGINT).exit_code == 130
