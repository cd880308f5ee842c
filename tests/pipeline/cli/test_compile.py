"""`twinbeam compile`: what it writes, and what it says where it cannot."""

import json
from pathlib import Path

import yaml

from tests.conftest import ROOT
from tests.pipeline.cli.in_process import call

VERTEX = ROOT / "deploy" / "vertex.yaml"


def test_vertex(tmp_path: Path) -> None:
    output = tmp_path / "new" / "vertex.json"
    run = call("compile", "vertex", "--settings", str(VERTEX), "--output", str(output))
    assert run.exit_code == 0, run.err
    assert run.out == (
        f"{output}: send it to https://europe-west4-aiplatform.googleapis.com/v1/projects/my-project/locations/"
        "europe-west4/pipelineJobs\n"
    )
    assert "Trainer" in json.loads(output.read_text())["pipelineSpec"]["root"]["dag"]["tasks"]
    assert [path.name for path in output.parent.iterdir()] == ["vertex.json"]


def test_kubeflow(tmp_path: Path) -> None:
    output = tmp_path / "kubeflow.yaml"
    bounds = ["auc.may_worsen_by=null", "log_loss.may_worsen_by=null", "log_loss.at_most=0.5"]
    overrides = [word for bound in bounds for word in ("--set", f"evaluation.thresholds.{bound}")]
    settings = str(ROOT / "deploy" / "kubeflow.yaml")
    run = call("compile", "kubeflow", "--settings", settings, "--output", str(output), *overrides)
    assert (run.exit_code, run.out) == (0, f"{output}: upload it to Kubeflow Pipelines\n"), run.err
    assert yaml.safe_load(output.read_text())["pipelineInfo"] == {"name": "taxi"}


def test_settings_that_are_not_accepted(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(VERTEX.read_text().replace("twinbeam:0.1.0", "twinbeam:latest"))
    run = call("compile", "vertex", "--settings", str(settings), "--output", str(tmp_path / "vertex.json"))
    assert run.exit_code == 3
    assert "settings.yaml:6: image: read " in run.err
    assert not (tmp_path / "vertex.json").exists()


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = call("compile", "vertex", "--settings", str(VERTEX), "--output", str(tmp_path / "file" / "vertex.json"))
    assert run.exit_code == 7
    assert "vertex.json: cannot be written: " in run.err
    assert "Name another --output FILE." in run.err
