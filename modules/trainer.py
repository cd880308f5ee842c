"""TFX's entry point for training: transformed examples in, a SavedModel and its learning curves out."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from modules.export import ServingModel, save
from modules.made_with import fingerprints, raw_schema, saved_graph
from modules.model import build_model, compile_model
from modules.spec import Declaration
from modules.spec.training import Training
from modules.warmup import write_warmup_requests

HISTORY_FILE = "history.json"
"""In the model run's directory, one object a look at the validation split: step, loss, auc, val_loss, val_auc."""

SHUFFLE_ROWS = 1 << 16
"""The buffer in which the rows are shuffled."""

_READ_ROWS = 1024


def run_fn(fn_args: FnArgs) -> None:
    """Trains and exports. The same declaration, examples and seed give the same model, bit for bit, on one machine.

    Args:
      fn_args: TFX's; of its custom_config are used `declaration`, the declaration as JSON, and what the tuner found.
    """
    declaration = Declaration.model_validate_json(fn_args.custom_config["declaration"])
    training = declaration.training
    if fn_args.hyperparameters:
        training = with_hyperparameters(training, fn_args.hyperparameters["values"])
    seed(training)
    model = build_model(declaration, training)
    compile_model(model, training)
    history = fit(
        model,
        training,
        read_batches(fn_args.train_files, declaration, training, shuffled=True),
        read_batches(fn_args.eval_files, declaration, training, shuffled=False),
    )
    run_dir = Path(fn_args.model_run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / HISTORY_FILE).write_text(json.dumps(history))
    graph = Path(fn_args.transform_output)
    made_with = fingerprints(raw_schema(graph), saved_graph(graph), declaration)
    serving = ServingModel(declaration, training, model, fn_args.transform_output)
    save(serving, declaration, fn_args.serving_model_dir, made_with)
    write_warmup_requests(declaration, fn_args.serving_model_dir)


def seed(training: Training) -> None:
    """Makes what follows repeatable: the initial weights, the order of the rows, and TensorFlow's own kernels."""
    keras.utils.set_random_seed(training.seed)
    tf.config.experimental.enable_op_determinism()


def with_hyperparameters(training: Training, values: dict[str, Any]) -> Training:
    """The training with what the tuner found, see `modules/tuner.py`."""
    widths = tuple(max(2, round(values["first_layer_units"] * 0.7**layer)) for layer in range(values["hidden_layers"]))
    update = {
        "learning_rate": values["learning_rate"],
        "embedding_dim": values["embedding_dim"],
        "hidden_units": widths,
    }
    return training.model_copy(update=update)


def read_batches(files: list[str], declaration: Declaration, training: Training, shuffled: bool) -> tf.data.Dataset:
    """Batches of (model inputs, label) from Parquet files of transformed examples.

    Args:
      files: Paths, or patterns of them.
      declaration: Gives the columns.
      training: Gives the size of a batch and the seed.
      shuffled: Whether rows are shuffled (within a buffer of 65,536) and repeated without end.
    """
    widths = {name: column.width for name, column in declaration.features.items() if column.categories is None}
    integers = [*(name for name in declaration.features if name not in widths), declaration.label.name]
    paths = sorted(path for pattern in files for path in tf.io.gfile.glob(pattern))

    def read() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Two matrices a batch: a row of two tensors is shuffled faster, and in less memory, than one of many."""
        for path in paths:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_READ_ROWS, columns=[*widths, *integers], use_threads=False):
                    yield _matrix(batch, list(widths), np.float32), _matrix(batch, integers, np.int64)

    def name(numbers: tf.Tensor, whole: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        ends = itertools.accumulate(widths.values())
        row = {name: numbers[:, end - widths[name] : end] for name, end in zip(widths, ends, strict=True)}
        row |= dict(zip(integers, tf.unstack(whole, axis=1), strict=True))
        return row, row.pop(declaration.label.name)[:, tf.newaxis]

    form = (
        tf.TensorSpec([None, sum(widths.values())], tf.float32),
        tf.TensorSpec([None, len(integers)], tf.int64),
    )
    batches = tf.data.Dataset.from_generator(read, output_signature=form)
    if shuffled:
        rows = batches.unbatch().shuffle(SHUFFLE_ROWS, seed=training.seed).repeat()
        return rows.batch(training.batch_size).map(name).prefetch(4)
    return batches.map(name).cache()


def _matrix(batch: pa.RecordBatch, names: list[str], dtype: type[np.number]) -> np.ndarray:
    """The columns side by side, shape (rows, their widths together)."""
    columns = [batch.column(name).flatten().to_numpy().reshape(len(batch), -1) for name in names]
    return np.hstack([np.empty((len(batch), 0), dtype), *columns])


def fit(
    model: keras.Model, training: Training, train: tf.data.Dataset, validation: tf.data.Dataset
) -> list[dict[str, float]]:
    """Trains until the validation loss stops getting better, or for `training.steps`; the best weights are kept.

    Returns:
      One entry for each look at the validation split, in the order of steps; see `HISTORY_FILE`.
    """
    arguments = fit_arguments(training)
    fitted = model.fit(train, validation_data=validation, **arguments)
    every = arguments["steps_per_epoch"]
    names = ("loss", "auc", "val_loss", "val_auc")
    return [
        {"step": (look + 1) * every, **{name: float(fitted.history[name][look]) for name in names}}
        for look in range(len(fitted.history["loss"]))
    ]


def fit_arguments(training: Training) -> dict[str, Any]:
    """How long Keras trains: an epoch is the steps between two looks at the validation split."""
    every = min(training.validate_every, training.steps)
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=training.patience, restore_best_weights=True)
    return {"steps_per_epoch": every, "epochs": training.steps // every, "callbacks": [stopping], "verbose": 0}
