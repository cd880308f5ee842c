"""A SavedModel's `serving_default`, called with columns: what a row lacks is marked absent."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from modules.spec import PRESENT_SUFFIX


class Signature:
    """The inputs that a model takes, read without loading it."""

    def __init__(self, directory: str) -> None:
        graph = saved_model_pb2.SavedModel.FromString(Path(directory, "saved_model.pb").read_bytes()).meta_graphs[0]
        signature = graph.signature_def["serving_default"]
        self._inputs = {name: tf.as_dtype(tensor.dtype) for name, tensor in signature.inputs.items()}
        self._may_be_left_out = set(signature.defaults)

    @property
    def required(self) -> set[str]:
        """Features that every row must have."""
        return self.features.keys() - self._may_be_left_out

    @property
    def optional(self) -> set[str]:
        """Features that some rows may have, and others lack; live ones are there for all rows or for none."""
        return {name for name in self.features if name + PRESENT_SUFFIX in self._inputs}

    @property
    def features(self) -> dict[str, tf.DType]:
        """The features and their dtypes, without the presences."""
        return {name: dtype for name, dtype in self._inputs.items() if not self._is_presence(name)}

    def _is_presence(self, name: str) -> bool:
        return name.endswith(PRESENT_SUFFIX) and name.removesuffix(PRESENT_SUFFIX) in self._inputs


class ScoringModel(Signature):
    """A loaded model and the inputs that it takes."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self._loaded = tf.saved_model.load(directory)
        self._signature = self._loaded.signatures["serving_default"]

    def score(self, features: dict[str, pa.Array]) -> tf.Tensor:
        """The scores, float32 of shape (rows,), of columns with nulls where a row has no value.

        Columns that the model does not know are left aside; an optional or a live feature may be left out.
        """
        inputs = {name: tf.constant([], dtype) for name, dtype in self._inputs.items()}
        for name, dtype in self.features.items():
            if name in features:
                values = features[name]
                inputs[name] = _tensor(values, dtype)
                if name in self.optional:
                    inputs[name + PRESENT_SUFFIX] = tf.constant(values.is_valid().to_numpy(zero_copy_only=False))
        return self._signature(**inputs)["score"]


def _tensor(values: pa.Array, dtype: tf.DType) -> tf.Tensor:
    if dtype == tf.string:
        return tf.constant(pc.fill_null(pc.cast(values, pa.binary()), b"").to_pylist(), dtype)
    return tf.constant(pc.fill_null(values, 0).to_numpy(zero_copy_only=False).astype(dtype.as_numpy_dtype, copy=False))
