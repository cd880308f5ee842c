"""Training and tuning on the transformed examples of a real run."""

import json
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tfx.components.trainer.fn_args_utils import FnArgs

from modules.model import build_model
from modules.spec import TRAIN, VALIDATION, Declaration
from modules.trainer import HISTORY_FILE, read_batches, run_fn, with_hyperparameters
from modules.tuner import tuner_fn
from pipeline.serving.signature import ScoringModel
from tests.artifacts import artifact, eval_columns, taxi


def fn_args(taxi_run: Path, tmp_path: Path, **training: Any) -> FnArgs:
    """What TFX would call `run_fn` and `tuner_fn` with, for short trainings."""
    declaration = taxi()
    training = {"steps": 40, "validate_every": 20, **training}
    declaration = declaration.model_copy(update={"training": declaration.training.model_copy(update=training)})
    examples = artifact(taxi_run, "Transform", "transformed_examples")
    return FnArgs(
        working_dir=str(tmp_path / "work"),
        train_files=[str(examples / f"Split-{TRAIN}" / "*")],
        eval_files=[str(examples / f"Split-{VALIDATION}" / "*")],
        transform_output=str(artifact(taxi_run, "Transform", "transform_graph")),
        serving_model_dir=str(tmp_path / "model"),
        model_run_dir=str(tmp_path / "run"),
        custom_config={"declaration": declaration.model_dump_json(), "trials": 2},
    )


def trained(taxi_run: Path, tmp_path: Path, **training: Any) -> tuple[bytes, list[dict[str, float]]]:
    """The scores of a fresh model on the eval split, and its learning curves."""
    args = fn_args(taxi_run, tmp_path, **training)
    run_fn(args)
    rows: dict[str, pa.Array] = eval_columns(taxi_run, list(taxi().features))
    scores = ScoringModel(args.serving_model_dir).score(rows).numpy()
    return scores.tobytes(), json.loads((tmp_path / "run" / HISTORY_FILE).read_text())


def test_a_seed_gives_one_model(taxi_run: Path, tmp_path: Path) -> None:
    first = trained(taxi_run, tmp_path / "first")
    assert trained(taxi_run, tmp_path / "again") == first
    assert trained(taxi_run, tmp_path / "other", seed=2) != first


def test_training_stops_when_validation_stops_getting_better(taxi_run: Path, tmp_path: Path) -> None:
    # So large a step diverges: the loss at the first look is never reached again.
    _, history = trained(taxi_run, tmp_path, steps=400, learning_rate=3.0, patience=2)
    losses = [look["val_loss"] for look in history]
    assert len(losses) == 1 + int(np.argmin(losses)) + 2 < 400 // 20
    assert [look["step"] for look in history] == [20 * (look + 1) for look in range(len(history))]


def test_the_served_model_is_the_trained_one_in_float64() -> None:
    declaration = taxi()
    model = build_model(declaration, declaration.training)
    served = build_model(declaration, declaration.training, dtype="float64")
    shapes = [weight.shape for weight in model.get_weights()]
    assert [weight.shape for weight in served.get_weights()] == shapes
    assert {weight.dtype for weight in served.get_weights()} == {np.dtype("float64")}


def test_no_two_features_share_an_embedding() -> None:
    declaration = taxi()
    model = build_model(declaration, declaration.training)
    inputs = {name: np.zeros((1, *spec.shape[1:]), spec.dtype) for name, spec in model.input.items()}
    logits = {"none": model(inputs).numpy().item()}
    for name, column in declaration.features.items():
        if column.categories:
            changed = inputs | {name: np.array([column.categories - 1])}
            logits[name] = model(changed).numpy().item()
    assert len(set(logits.values())) == len(logits)


def test_batches_hold_every_row_once_with_its_own_label(taxi_run: Path, tmp_path: Path) -> None:
    declaration = taxi()
    [path] = (artifact(taxi_run, "Transform", "transformed_examples") / f"Split-{VALIDATION}").iterdir()
    written = pq.read_table(path)
    files = fn_args(taxi_run, tmp_path).eval_files
    batches = list(read_batches(files, declaration, declaration.training, shuffled=False))
    labels = np.concatenate([label for _, label in batches])
    assert labels.tolist() == written[declaration.label.name].to_pylist()
    assert labels.shape == (1500, 1)
    for name in declaration.features:
        found = np.concatenate([batch[name] for batch, _ in batches])
        assert found.tobytes() == written[name].combine_chunks().flatten().to_numpy().tobytes(), name


def test_shuffled_batches_hold_every_row_once_an_epoch(taxi_run: Path, tmp_path: Path) -> None:
    declaration = taxi()
    training = declaration.training.model_copy(update={"batch_size": 100})
    files = fn_args(taxi_run, tmp_path).eval_files
    in_order = [rows(batch) for batch in read_batches(files, declaration, training, shuffled=False)]
    shuffled = read_batches(files, declaration, training, shuffled=True)
    first, second = ([row for batch in part.take(15) for row in rows(batch)] for part in (shuffled, shuffled.skip(15)))
    together = [row for batch in in_order for row in batch]
    assert len(together) == 1500
    assert first != together
    assert first != second
    assert sorted(first) == sorted(second) == sorted(together)


def rows(batch: Any) -> list[tuple[Any, ...]]:
    """The batch's rows, each with its values and its label."""
    inputs, label = batch
    columns = [np.asarray(inputs[name]).reshape(len(label), -1) for name in sorted(inputs)]
    return [tuple(row) for row in np.hstack([*columns, label]).tolist()]


@pytest.mark.parametrize("features", [["trip_miles", "fare"], ["company", "trip_start_hour"]])
def test_a_batch_of_numbers_alone_or_of_categories_alone(taxi_run: Path, tmp_path: Path, features: list[str]) -> None:
    declaration = taxi()
    columns = {name: column for name, column in declaration.columns.items() if name in features}
    sections = {name: getattr(declaration, name) for name in Declaration.model_fields}
    declaration = Declaration.model_construct(**sections | {"columns": columns, "live": None})
    files = fn_args(taxi_run, tmp_path).eval_files
    batches = list(read_batches(files, declaration, declaration.training, shuffled=False))
    assert {frozenset(batch) for batch, _ in batches} == {frozenset(features)}


@pytest.mark.parametrize("algorithm", ["random", "bayesian"])
def test_the_tuner_scores_every_trial(taxi_run: Path, tmp_path: Path, algorithm: str) -> None:
    args = fn_args(taxi_run, tmp_path)
    declaration = Declaration.model_validate_json(args.custom_config["declaration"])
    tuning = declaration.tuning.model_copy(update={"algorithm": algorithm})
    args.custom_config["declaration"] = declaration.model_copy(update={"tuning": tuning}).model_dump_json()
    result = tuner_fn(args)
    result.tuner.search(**result.fit_kwargs)
    trials = result.tuner.oracle.get_best_trials(10)
    assert len(trials) == 2
    assert all(trial.score is not None for trial in trials)
    best = with_hyperparameters(declaration.training, result.tuner.get_best_hyperparameters()[0].values)
    assert best.learning_rate in tuning.learning_rate
    assert best.hidden_units[0] in tuning.first_layer_units


def test_a_trial_without_a_score_is_an_error(taxi_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """keras-tuner itself would go on, and name hyperparameters that nobody has tried the best."""
    result = tuner_fn(fn_args(taxi_run, tmp_path))

    def fails(*_: object, **__: object) -> None:
        raise keras_tuner.errors.FailedTrialError("no memory left")

    monkeypatch.setattr(keras.Model, "fit", fails)
    with pytest.raises(RuntimeError, match=r"trial 0 ended without a score: .*no memory left"):
        result.tuner.search(**result.fit_kwargs)


def test_hidden_layers_narrow() -> None:
    values = {"first_layer_units": 100, "hidden_layers": 4, "learning_rate": 0.01, "embedding_dim": 4}
    training = with_hyperparameters(taxi().training, values)
    assert training.hidden_units == (100, 70, 49, 34)
    assert (training.learning_rate, training.embedding_dim) == (0.01, 4)
