"""The model: embeddings of the categories beside the numbers, a linear part and a deep part, one logit."""

import keras
import numpy as np

from modules.spec import Declaration
from modules.spec.training import Training


def build_model(declaration: Declaration, training: Training, dtype: str = "float32") -> keras.Model:
    """A binary classifier over the transform graph's outputs.

    Args:
      declaration: Gives the inputs: one a feature, float of shape (batch, width) or int64 of shape (batch,).
      training: Gives the shape of the model.
      dtype: float32 to train. float64 to serve: rounded once to float32 at the end, scores then do not depend on the
        size of the batch, which float32 matrix products do.

    Returns:
      A model from {feature: input} to the logit, shape (batch, 1), of `dtype`.
    """
    inputs, numbers, categories, sizes = {}, [], [], []
    for name, column in declaration.features.items():
        if column.categories is None:
            inputs[name] = keras.Input((column.width,), name=name, dtype="float32")
            numbers.append(inputs[name])
        else:
            inputs[name] = keras.Input((), name=name, dtype="int64")
            categories.append(inputs[name])
            sizes.append(column.categories)
    linear, deep = [], [_join(numbers, "numbers", dtype)] if numbers else []
    if categories:
        # One table for the categories of all features, each feature's after those of the one before it.
        starts = np.cumsum([0, *sizes[:-1]])
        rows = keras.ops.stack(categories, axis=1) + keras.ops.convert_to_tensor(starts, "int64")
        table = keras.layers.Embedding(sum(sizes), training.embedding_dim, name="embeddings", dtype=dtype)
        weights = keras.layers.Embedding(sum(sizes), 1, embeddings_initializer="zeros", name="weights", dtype=dtype)
        deep.append(keras.layers.Flatten(name="embedded", dtype=dtype)(table(rows)))
        linear.append(keras.ops.sum(weights(rows), axis=1))
    joined = _join(deep, "joined", dtype)
    linear.append(keras.layers.Dense(1, use_bias=False, name="linear", dtype=dtype)(joined))
    hidden = joined
    for number, units in enumerate(training.hidden_units, start=1):
        hidden = keras.layers.Dense(units, activation="relu", name=f"hidden_{number}", dtype=dtype)(hidden)
    linear.append(keras.layers.Dense(1, name="deep", dtype=dtype)(hidden))
    return keras.Model(inputs, keras.layers.Add(name="logit", dtype=dtype)(linear))


def _join(parts: list[keras.KerasTensor], name: str, dtype: str) -> keras.KerasTensor:
    return keras.layers.Concatenate(name=name, dtype=dtype)(parts) if len(parts) > 1 else parts[0]


def compile_model(model: keras.Model, training: Training) -> None:
    """Adam on the log loss of the logit; reports loss and AUC."""
    model.compile(
        optimizer=keras.optimizers.Adam(training.learning_rate),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.AUC(from_logits=True, name="auc")],
    )
