"""The raw features in TensorFlow: their dtypes, their parse spec, and the two forms of an optional one.

A required feature is a dense tensor of shape (batch,). An optional one is, in the transform graph and in a parsed
`tf.Example`, a sparse tensor of dense shape (batch, 1): a value that is not there is not in it, whatever its bits.
"""

import tensorflow as tf

from modules.spec import Column, Declaration

_DTYPES = {"int": tf.int64, "bool": tf.int64, "float": tf.float32, "string": tf.string}


def raw_dtype(column: Column) -> tf.DType:
    """The dtype in which a `tf.Example`, a request and the transform graph hold the column."""
    return _DTYPES[column.type]


def parse_spec(declaration: Declaration) -> dict[str, tf.io.FixedLenFeature | tf.io.VarLenFeature]:
    """How to parse the features out of a serialized `tf.Example`."""
    return {
        name: tf.io.VarLenFeature(raw_dtype(column))
        if column.optional
        else tf.io.FixedLenFeature([], raw_dtype(column))
        for name, column in declaration.features.items()
    }


def to_sparse(values: tf.Tensor, present: tf.Tensor) -> tf.SparseTensor:
    """A dense feature and its presence, both of shape (batch,), as a sparse tensor of dense shape (batch, 1)."""
    rows = tf.where(present)
    indices = tf.concat([rows, tf.zeros_like(rows)], axis=1)
    return tf.SparseTensor(indices, tf.boolean_mask(values, present), [tf.size(present, tf.int64), 1])


def to_dense(feature: tf.SparseTensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Undoes `to_sparse`: values of shape (batch,), zero or empty where absent, and whether each is present."""
    at, shape = feature.indices[:, :1], feature.dense_shape[:1]
    present = tf.scatter_nd(at, tf.ones_like(feature.values, tf.bool), shape)
    return tf.scatter_nd(at, feature.values, shape), present
