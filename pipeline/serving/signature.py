"""A SavedModel's `serving_default`, called with columns: what a row lacks is marked absent."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from modules.spec import PRESENT_SUFFIX
from pipeline.serving.inputs import model_inputs


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
        dtypes = {name: np.dtype(dtype.as_numpy_dtype) for name, dtype in self._inputs.items()}
        inputs = {name: tf.constant([], dtype) for name, dtype in self._inputs.items()}
        inputs |= {
            name: tf.constant(values, self._inputs[name]) for name, values in model_inputs(features, dtypes).items()
        }
        return self._signature(**inputs)["score"]
