"""What the live features add: the model is trained with and without them, and both are judged on the eval split."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from modules.model import build_model, compile_model
from modules.paired import Pair
from modules.spec import EVAL, TRAIN, VALIDATION, Declaration, DeclarationError
from modules.spec.training import Training
from modules.trainer import SHUFFLE_ROWS, fit_arguments, read_batches, seed

_SCORED_ROWS = 1 << 13
"""As many at a time, for the memory's sake; without `predict`, which would cost as much as a tenth of the trainings."""

_Rows = tuple[dict[str, np.ndarray], np.ndarray]
"""Model inputs by name, and the label of shape (rows, 1)."""


def ablate(declaration: Declaration, training: Training, files: Mapping[str, list[str]], seeds: int) -> list[Pair]:
    """AUC and log loss of both sides under the seeds `training.seed`, `training.seed` + 1, and so on.

    A training is the Trainer's: same steps, same order of the rows, same early stopping. So the first one with the live
    features gives the model that the Trainer exports, only that it is scored in float32 here.

    Args:
      declaration: It has live features.
      training: The Trainer's.
      files: Of transformed examples, by split: paths, or patterns of them.
      seeds: How many.
    """
    train, evaluated = (_read(files[split], declaration, training) for split in (TRAIN, EVAL))
    trainings = [training.model_copy(update={"seed": (training.seed + more) % 2**32}) for more in range(seeds)]
    sides = [
        _side(each, trainings, train, read_batches(files[VALIDATION], each, training, shuffled=False), evaluated)
        for each in (declaration, without_live(declaration))
    ]
    return [Pair(each.seed, *metrics) for each, *metrics in zip(trainings, *sides, strict=True)]


def without_live(declaration: Declaration) -> Declaration:
    """The declaration without its live section. It is made anew, for a copy would keep what was derived before."""
    left_out: dict[str, Any] = {"live": True, "evaluation": {"ablation_seeds"}}
    return Declaration.model_validate_json(declaration.model_dump_json(exclude=left_out))


def _read(files: list[str], declaration: Declaration, training: Training) -> _Rows:
    batches = list(read_batches(files, declaration, training, shuffled=False).as_numpy_iterator())
    inputs = {name: np.concatenate([row[name] for row, _ in batches]) for name in declaration.features}
    return inputs, np.concatenate([label for _, label in batches])


def _side(
    declaration: Declaration,
    trainings: Sequence[Training],
    train: _Rows,
    validation: tf.data.Dataset,
    evaluated: _Rows,
) -> Iterator[dict[str, float]]:
    """The metrics of each training. One model is traced, and begins anew each time."""
    model = build_model(declaration, trainings[0])
    compile_model(model, trainings[0])
    # The same optimiser and loss, without metrics, and in one call all steps between two looks at the validation split.
    model.compile(model.optimizer, model.loss, steps_per_execution=fit_arguments(trainings[0])["steps_per_epoch"])
    model.optimizer.build(model.trainable_variables)
    untouched = [variable.numpy() for variable in model.optimizer.variables]
    inputs = {name: evaluated[0][name] for name in declaration.features}
    for each in trainings:
        seed(each)
        model.set_weights(build_model(declaration, each).get_weights())
        for variable, value in zip(model.optimizer.variables, untouched, strict=True):
            variable.assign(value)
        model.fit(_shuffled(train, declaration, each), validation_data=validation, **fit_arguments(each))
        logits = np.concatenate(
            [
                model({name: column[start : start + _SCORED_ROWS] for name, column in inputs.items()})
                for start in range(0, len(evaluated[1]), _SCORED_ROWS)
            ]
        )
        if not np.isfinite(logits).all():
            raise DeclarationError(
                f"training.learning_rate: with {each.learning_rate:g} and seed {each.seed} the training diverged in "
                "the ablation. Lower it."
            )
        positive = evaluated[1][:, 0] == 1
        scores = logits[:, 0].astype(np.float64)
        yield {"auc": auc(positive, scores), "log_loss": log_loss(positive, scores)}


def _shuffled(rows: _Rows, declaration: Declaration, training: Training) -> tf.data.Dataset:
    """The batches of the Trainer's `read_batches`, in its order: what is shuffled here are the rows' numbers."""
    inputs = {name: tf.constant(rows[0][name]) for name in declaration.features}
    label = tf.constant(rows[1])

    def take(numbers: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        return {name: tf.gather(column, numbers) for name, column in inputs.items()}, tf.gather(label, numbers)

    numbers = tf.data.Dataset.range(len(rows[1])).shuffle(SHUFFLE_ROWS, seed=training.seed).repeat()
    return numbers.batch(training.batch_size).map(take)


def auc(positive: np.ndarray, scores: np.ndarray) -> float:
    """How often a positive scores above a negative, an equal score counting half; exact.

    Args:
      positive: bool, shape (rows,), with both values.
      scores: Of the same shape; any increasing function of them gives the same.
    """
    values, places = np.unique(scores, return_inverse=True)
    positives = np.bincount(places[positive], minlength=len(values))
    negatives = np.bincount(places[~positive], minlength=len(values))
    below = np.cumsum(negatives) - negatives
    return int(positives @ (2 * below + negatives)) / (2 * int(positives.sum()) * int(negatives.sum()))


def log_loss(positive: np.ndarray, logits: np.ndarray) -> float:
    """The mean of -log(probability of the row's label), from logits in float64: no probability is rounded to 1."""
    return float(np.logaddexp(0, np.where(positive, -logits, logits)).mean())
