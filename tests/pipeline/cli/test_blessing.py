"""A model is pushed when it keeps its promises: the declaration's bounds, and no worse than the last blessed one."""

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from tests.pipeline.cli.trips import Trips

NOT_BLESSED = 6


def test_a_missed_threshold_names_metric_value_and_bound(again: Trips) -> None:
    before = again.pushed()
    run = again.call("run", "--set", "evaluation.thresholds={auc: {at_least: 0.99}, accuracy: {at_most: 0.01}}")
    assert run.exit_code == NOT_BLESSED
    assert re.search(r"auc is 0\.\d+, and must be at least 0\.99", run.err)
    assert re.search(r"accuracy is 0\.\d+, and must be at most 0\.01", run.err)
    assert "Improve it, or change evaluation.thresholds in the declaration." in run.err
    assert again.pushed() == before
    assert f"\nThe report of this run is {again.output}/report-withheld.html.\n" in run.err
    assert "must be at least 0.99" in (again.output / "report-withheld.html").read_text()
    # An edit of the thresholds judges the same model again, and does not compare it with itself.
    for component in ("ExampleGen", "StatisticsGen", "SchemaGen", "Transform", "Trainer"):
        assert re.search(f"^reused {component} ", run.out, re.MULTILINE)
    assert re.search("^done   Baseline .* no earlier model$", run.out, re.MULTILINE)
    assert re.search("^done   Evaluator ", run.out, re.MULTILINE)


def test_a_looser_threshold_does_not_push_the_same_model_twice(again: Trips) -> None:
    run = again.call("run", "--set", "evaluation.thresholds.auc.at_least=0.05", "--json")
    assert run.exit_code == 0
    assert run.result["ran"]
    assert run.result["version"] == 1
    assert [path.name for path in again.serving.iterdir()] == ["1"]


@pytest.mark.slow
def test_a_model_that_is_worse_than_the_last_blessed_one_is_withheld(again: Trips) -> None:
    before = again.pushed()
    untrained = ("--set", "training.learning_rate=1e-9")
    run = again.call("run", *untrained, "--set", "evaluation.thresholds={log_loss: {may_worsen_by: 0.001}}")
    assert run.exit_code == NOT_BLESSED
    assert re.search(
        r"log_loss changed by \+0\.\d+ from the last blessed model's, and may worsen by 0\.001", run.err
    ), run.err
    assert re.search("^reused Transform ", run.out, re.MULTILINE)
    assert re.search("^done   Baseline .* the last blessed model$", run.out, re.MULTILINE)
    assert again.pushed() == before

    # Withheld, it is not what the next one is compared with; and where it may be worse, it is pushed.
    run = again.call("run", *untrained, "--set", "evaluation.thresholds={log_loss: {may_worsen_by: 0.9}}", "--json")
    assert run.exit_code == 0
    assert run.result["version"] == 2


@pytest.mark.slow
def test_a_baseline_with_other_features_is_no_error(again: Trips, tmp_path: Path) -> None:
    shutil.copytree(again.directory, tmp_path / "narrower", ignore=shutil.ignore_patterns("build"))
    narrower = dataclasses.replace(again, directory=tmp_path / "narrower")
    declared = "trip_seconds: {type: int, role: feature, transform: {name: scale}, missing: mean}"
    narrower.features.write_text(
        narrower.features.read_text()
        .replace(declared, "trip_seconds: {type: int, role: ignored}")
        .replace("auc: {at_least: 0.1}", "auc: {at_least: 0.1, may_worsen_by: 0.0}\n    log_loss: {may_worsen_by: 0.0}")
    )
    optional = 'feature {\n  name: "trip_seconds"\n  type: INT\n  presence {\n    min_count: 1\n  }\n}\n'
    narrower.schema.write_text(narrower.schema.read_text().replace(optional, ""))
    run = narrower.call("run")
    assert run.exit_code == 0, run.err
    assert re.search("^done   Baseline .* the last blessed model$", run.out, re.MULTILINE)
    assert re.search("^done   Evaluator .* blessed; not compared with the last blessed model, which", run.out, re.M)
    assert [path.name for path in sorted(narrower.serving.iterdir())] == ["1", "2"]
