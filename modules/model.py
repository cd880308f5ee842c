"""The model: embeddings of the categories beside the numbers, a linear part and a deep part, one logit."""

import keras

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
    inputs, linear, deep = {}, [], []
    for name, column in declaration.features.items():
        if column.categories is None:
            inputs[name] = keras.Input((column.width,), name=name, dtype="float32")
            deep.append(inputs[name])
        else:
            inputs[name] = keras.Input((), name=name, dtype="int64")
            embed = keras.layers.Embedding(
                column.categories, training.embedding_dim, name=f"{name}_embedding", dtype=dtype
            )
            weigh = keras.layers.Embedding(
                column.categories, 1, name=f"{name}_weight", embeddings_initializer="zeros", dtype=dtype
            )
            deep.append(embed(inputs[name]))
            linear.append(weigh(inputs[name]))
    joined = keras.layers.Concatenate(name="inputs", dtype=dtype)(deep) if len(deep) > 1 else deep[0]
    linear.append(keras.layers.Dense(1, use_bias=False, name="linear", dtype=dtype)(joined))
    hidden = joined
    for number, units in enumerate(training.hidden_units, start=1):
        hidden = keras.layers.Dense(units, activation="relu", name=f"hidden_{number}", dtype=dtype)(hidden)
    linear.append(keras.layers.Dense(1, name="deep", dtype=dtype)(hidden))
    return keras.Model(inputs, keras.layers.Add(name="logit", dtype=dtype)(linear))


def compile_model(model: keras.Model, training: Training) -> None:
    """Adam on the log loss of the logit; reports loss and AUC."""
    model.compile(
        optimizer=keras.optimizers.Adam(training.learning_rate),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.AUC(from_logits=True, name="auc")],
    )
