"""The raw features in TensorFlow: their dtypes, their parse spec, and the two forms of an optional one.

A required feature is a dense tensor of shape (batch,). An optional one is, in the transform graph and in a parsed
`tf.Example`, a sparse tensor of dense shape (batch, 1): a value that is not there is not in it, whatever its bits.
"""

import numpy as np
import tensorflow as tf

from modules.kernel.rounding import to_example
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
        else tf.io.FixedLenFeature([], raw_dtype(column), live_default(declaration, name))
        for name, column in declaration.features.items()
    }


def live_default(declaration: Declaration, name: str) -> np.generic | None:
    """What a live feature has where a request leaves it out: its value for an unknown key, rounded once; else None."""
    feature = declaration.live_features.get(name)
    if feature is None:
        return None
    full_width = np.array([feature.value_when_empty], np.int64 if feature.dtype == "int" else np.float64)
    return to_example(full_width)[0]


def to_sparse(values: tf.Tensor, present: tf.Tensor) -> tf.SparseTensor:
    """A dense feature and its presence, both of shape (batch,), as a sparse tensor of dense shape (batch, 1)."""
    rows = tf.where(present)
    return tf.SparseTensor(tf.pad(rows, [[0, 0], [0, 1]]), tf.gather_nd(values, rows), [tf.size(present, tf.int64), 1])


def to_dense(feature: tf.SparseTensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Undoes `to_sparse`: values of shape (batch,), zero or empty where absent, and whether each is present."""
    at, shape = feature.indices[:, :1], feature.dense_shape[:1]
    present = tf.scatter_nd(at, tf.ones_like(feature.values, tf.bool), shape)
    return tf.scatter_nd(at, feature.values, shape), present
