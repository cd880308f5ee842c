"""The transform graph: the only code that turns raw features into model inputs, in training and in serving.

The same rows give the same bits whatever the batch they come in: + - * / and sqrt, comparisons and look-ups may be
float32; any other function is computed in float64 and rounded once, because TensorFlow's vectorised float32 kernels
differ in the last place between the middle of a batch and its end.
"""

import functools
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from modules.raw_features import to_dense
from modules.spec import ROW_ID, Column, Declaration
from modules.spec.transforms import Bucketise, Fill, Hash, Log, OneHot, Passthrough, Scale, Transform, Vocabulary

Tensor = tf.Tensor | tf.SparseTensor


def preprocessing_fn(inputs: dict[str, Tensor], custom_config: dict[str, Any]) -> dict[str, tf.Tensor]:
    """TFX's entry point.

    Args:
      inputs: The raw features, label and row id: shape (batch,), or sparse of dense shape (batch, 1) where optional.
      custom_config: `declaration`: the declaration as JSON.

    Returns:
      The model's inputs under the features' names: float32, shape (batch, width), or int64, shape (batch,), in
      [0, categories); and label and row id as they are.
    """
    declaration = Declaration.model_validate_json(custom_config["declaration"])
    outputs = {name: _model_input(inputs[name], name, column) for name, column in declaration.features.items()}
    return outputs | {name: tf.identity(inputs[name]) for name in (declaration.label.name, ROW_ID)}


def _model_input(feature: Tensor, name: str, column: Column) -> tf.Tensor:
    assert column.transform is not None
    if not isinstance(feature, tf.SparseTensor):
        return _transform(column.transform, feature, name)
    values, present = to_dense(feature)
    if isinstance(column.missing, Fill):
        return _transform(column.transform, tf.where(present, values, tf.cast(column.missing.fill, values.dtype)), name)
    if column.missing == "mean":
        # The mean of what is there, so that filling it in moves neither the mean nor any quantile's order.
        mean = tft.mean(tf.cast(feature.values, tf.float32))
        return _transform(column.transform, tf.where(present, tf.cast(values, tf.float32), mean), name)
    return _with_own_category(column, values, present, name)


def _with_own_category(column: Column, values: tf.Tensor, present: tf.Tensor, name: str) -> tf.Tensor:
    """The transform of the values that are there, and the last category for the others."""
    assert column.transform is not None
    known = _transform(column.transform, tf.boolean_mask(values, present), name)
    at = tf.where(present)
    if isinstance(column.transform, OneHot):
        width = column.transform.depth
        rows = tf.size(present, tf.int64)
        spread = tf.scatter_nd(at, known, [rows, width])
        return tf.concat([spread, tf.cast(~present, tf.float32)[:, tf.newaxis]], axis=1)
    assert column.categories is not None
    return tf.tensor_scatter_nd_update(
        tf.fill(tf.shape(present), tf.constant(column.categories - 1, tf.int64)), at, known
    )


@functools.singledispatch
def _transform(transform: Transform, values: tf.Tensor, name: str) -> tf.Tensor:
    """Dense values, shape (n,), to float32 of shape (n, width) or int64 categories of shape (n,)."""
    raise TypeError(transform)


@_transform.register
def _scale(transform: Scale, values: tf.Tensor, name: str) -> tf.Tensor:
    return tft.scale_to_z_score(tf.cast(values, tf.float32))[:, tf.newaxis]


@_transform.register
def _log(transform: Log, values: tf.Tensor, name: str) -> tf.Tensor:
    return tf.cast(tf.math.log1p(tf.maximum(tf.cast(values, tf.float64), 0.0)), tf.float32)[:, tf.newaxis]


@_transform.register
def _passthrough(transform: Passthrough, values: tf.Tensor, name: str) -> tf.Tensor:
    return tf.cast(values, tf.float32)[:, tf.newaxis]


@_transform.register
def _one_hot(transform: OneHot, values: tf.Tensor, name: str) -> tf.Tensor:
    return tf.one_hot(values, transform.depth, dtype=tf.float32)


@_transform.register
def _bucketise(transform: Bucketise, values: tf.Tensor, name: str) -> tf.Tensor:
    return tft.bucketize(tf.cast(values, tf.float32), transform.buckets, name=f"{name}_buckets")


@_transform.register
def _vocabulary(transform: Vocabulary, values: tf.Tensor, name: str) -> tf.Tensor:
    """The vocabulary's unused ranks stay unused, so that the number of categories does not depend on the data."""
    ranks = tft.compute_and_apply_vocabulary(
        values, top_k=transform.top, num_oov_buckets=transform.oov_buckets, vocab_filename=f"{name}_vocabulary"
    )
    known = tf.cast(tft.experimental.get_vocabulary_size_by_name(f"{name}_vocabulary"), tf.int64)
    return tf.where(ranks < known, ranks, ranks - known + transform.top)


@_transform.register
def _hash(transform: Hash, values: tf.Tensor, name: str) -> tf.Tensor:
    text = values if values.dtype == tf.string else tf.strings.as_string(values)
    return tft.hash_strings(text, transform.buckets)
