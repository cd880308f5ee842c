import json
import math
from pathlib import Path

import pytest
from tfx.types import standard_artifacts

from pipeline.report.learning import best_look, learning_curves
from pipeline.report.trials import trials

HISTORY = [
    {"step": 100, "loss": 0.4, "auc": 0.8, "val_loss": 0.5, "val_auc": 0.7},
    {"step": 200, "loss": 0.3, "auc": 0.9, "val_loss": 0.3, "val_auc": 0.8},
    {"step": 300, "loss": 0.2, "auc": 0.95, "val_loss": 0.4, "val_auc": 0.75},
]


def test_the_kept_look_has_the_least_validation_loss() -> None:
    assert best_look(HISTORY) == HISTORY[1]
    loss, _ = learning_curves(HISTORY)
    assert loss.keys[-1].text == "kept, step 200"
    # Steps go from 0 to 300, so step 300 is at the right end.
    assert max(dot.x for dot in loss.dots) == loss.right
    kept = loss.left + (loss.right - loss.left) * 200 / 300
    assert loss.paths[0].data.startswith(f"M{kept:.1f} ")


def test_a_single_look_is_a_point() -> None:
    plots = learning_curves(HISTORY[:1])
    assert [plot.name for plot in plots] == ["Loss", "AUC"]
    for plot in plots:
        assert len(plot.dots) == 2
        assert all(plot.top < dot.y < plot.bottom for dot in plot.dots)


def test_looks_without_a_value_are_left_out() -> None:
    plots = learning_curves([*HISTORY, {**HISTORY[0], "step": 400, "loss": math.nan, "val_loss": math.inf}])
    assert [len(plot.dots) for plot in plots] == [6, 8]
    assert "undefined in training" in plots[0].description
    assert "nan" not in "".join(path.data for plot in plots for path in plot.paths)


@pytest.mark.parametrize(
    "history", [[], [{"step": 1, **dict.fromkeys(("loss", "auc", "val_loss", "val_auc"), math.nan)}]]
)
def test_no_value_at_all(history: list[dict[str, float]]) -> None:
    assert learning_curves(history) == ()
    assert best_look(history) is None


def test_trials_come_best_first(tmp_path: Path) -> None:
    results = [
        {"trial_id": "0", "score": 0.5, "learning_rate": 0.01, "hidden_layers": 2},
        {"trial_id": "1", "score": 0.25, "learning_rate": 0.0003, "hidden_layers": 4},
    ]
    (tmp_path / "tuner_results.json").write_text(json.dumps(results))
    artifact = standard_artifacts.TunerResults()
    artifact.uri = str(tmp_path)
    found = trials({"tuner_results": [artifact]})
    assert found
    assert found.hyperparameters == ("learning rate", "hidden layers")
    assert [(trial.place, trial.values, trial.loss, trial.width) for trial in found.trials] == [
        (1, ("0.0003", "4"), "0.2500", 50),
        (2, ("0.01", "2"), "0.5000", 100),
    ]


def test_no_tuner_no_trials() -> None:
    assert trials(None) is None
