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
from modules.spec import Column, Declaration
from modules.spec.transforms import (
    Bucketise,
    Fill,
    Hash,
    Identity,
    Log,
    OneHot,
    Passthrough,
    Scale,
    Transform,
    Vocabulary,
)

_QUANTILE_ERROR = 0.01
"""Buckets hold the same number of rows to within this share of all rows."""


def preprocessing_fn(
    inputs: dict[str, tf.Tensor | tf.SparseTensor], custom_config: dict[str, Any]
) -> dict[str, tf.Tensor]:
    """TFX's entry point.

    Args:
      inputs: The raw features: shape (batch,), or sparse of dense shape (batch, 1) where optional.
      custom_config: `declaration`: the declaration as JSON.

    Returns:
      The model's inputs under the features' names: float32, shape (batch, width), or int64, shape (batch,), in
      [0, categories).
    """
    declaration = Declaration.model_validate_json(custom_config["declaration"])
    return {name: _model_input(inputs[name], name, column) for name, column in declaration.features.items()}


def _model_input(feature: tf.Tensor | tf.SparseTensor, name: str, column: Column) -> tf.Tensor:
    assert column.transform is not None
    if not isinstance(feature, tf.SparseTensor):
        return _transform(column.transform, feature, feature, name)
    values, present = to_dense(feature)
    if isinstance(column.missing, Fill):
        filled = tf.where(present, values, tf.cast(column.missing.fill, values.dtype))
        return _transform(column.transform, filled, filled, name)
    if column.missing == "mean":
        seen = tf.cast(feature.values, tf.float32)
        filled = tf.where(present, tf.cast(values, tf.float32), tft.mean(seen))
        return _transform(column.transform, filled, seen, name)
    known = _transform(column.transform, values, feature.values, name)
    if isinstance(column.transform, OneHot):
        absent = tf.expand_dims(tf.cast(~present, tf.float32), 1)
        return tf.concat([known * (1 - absent), absent], axis=1)
    assert column.categories is not None
    return tf.where(present, known, tf.constant(column.categories - 1, tf.int64))


@functools.singledispatch
def _transform(transform: Transform, values: tf.Tensor, seen: tf.Tensor, name: str) -> tf.Tensor:
    """What the catalogue says of `transform`.

    Args:
      transform: Which one.
      values: What to transform, shape (batch,).
      seen: What the training split's statistics are taken over, shape (n,): without the rows that lack the value.
      name: The feature's name.

    Returns:
      float32 of shape (batch, width), or int64 categories of shape (batch,).
    """
    raise TypeError(transform)


@_transform.register
def _scale(transform: Scale, values: tf.Tensor, seen: tf.Tensor, name: str) -> tf.Tensor:
    seen = tf.cast(seen, tf.float32)
    deviation = tf.sqrt(tft.var(seen))
    # A product, not a quotient: TensorFlow makes one of a division by a constant in some servers and not in others.
    per_unit = 1.0 / tf.where(deviation > 0, deviation, 1.0)
    scaled = (tf.cast(values, tf.float32) - tft.mean(seen)) * per_unit
    return tf.expand_dims(scaled, 1)


@_transform.register
def _log(transform: Log, values: tf.Tensor, seen: tf.Tensor, name: str) -> tf.Tensor:
    return tf.expand_dims(tf.cast(tf.math.log1p(tf.maximum(tf.cast(values, tf.float64), 0.0)), tf.float32), 1)


@_transform.register
def _passthrough(transform: Passthrough, values: tf.Tensor, seen: tf.Tensor, name: str) -> tf.Tensor:
    return tf.expand_dims(tf.cast(values, tf.float32), 1)


@_transform.register
def _one_hot(transform: OneHot, values: tf.Tensor, seen: tf.Tensor, name: str) -> tf.Tensor:
    return tf.one_hot(values, transform.depth, dtype=tf.float32)


@_transform.register
def _identity(transform: Identity, values: tf.Tensor, seen: tf.Tensor, name: str) -> tf.Tensor:
    size = tf.constant(transform.size, tf.int64)
    return tf.where((values >= 0) & (values < size), values, size)


@_transform.register
def _bucketise(transform: Bucketise, values: tf.Tensor, seen: tf.Tensor, name: str) -> tf.Tensor:
    boundaries = tft.quantiles(tf.cast(seen, tf.float32), transform.buckets, epsilon=_QUANTILE_ERROR)
    return tft.apply_buckets(tf.cast(values, tf.float32), boundaries)


@_transform.register
def _vocabulary(transform: Vocabulary, values: tf.Tensor, seen: tf.Tensor, name: str) -> tf.Tensor:
    vocabulary = tft.vocabulary(seen, top_k=transform.top, vocab_filename=f"{name}_vocabulary")
    ranks = tft.apply_vocabulary(values, vocabulary, num_oov_buckets=transform.oov_buckets)
    # The ranks that a small vocabulary leaves unused stay unused: the categories must not depend on the data.
    known = tf.cast(tft.experimental.get_vocabulary_size_by_name(f"{name}_vocabulary"), tf.int64)
    return tf.where(ranks < known, ranks, ranks - known + transform.top)


@_transform.register
def _hash(transform: Hash, values: tf.Tensor, seen: tf.Tensor, name: str) -> tf.Tensor:
    text = values if values.dtype == tf.string else tf.strings.as_string(values)
    return tft.hash_strings(text, transform.buckets)
