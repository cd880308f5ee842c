"""The exported model, called in this process, and the sample's rows in the forms that its signatures take."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from modules.spec import Declaration
from pipeline.parity.sample import Sample
from pipeline.serving.examples import serialized_examples
from pipeline.serving.inputs import Array, input_dtypes, model_inputs

MOST_ROWS = 1 << 14
"""Of a batch with which all rows are asked about; a greater sample is several of them."""
SINGLES = 200
"""How many rows are asked about one by one."""


class Exported:
    """A SavedModel, loaded as Python loads it."""

    def __init__(self, directory: Path) -> None:
        self._loaded = tf.saved_model.load(str(directory))

    def call(self, signature: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs of a signature for arrays by name; all of shape (rows, ...). Inputs may be left out."""
        function = self._loaded.signatures[signature]
        taken = function.structured_input_signature[1]
        left_out = {name: tf.constant([], spec.dtype) for name, spec in taken.items() if name not in inputs}
        outputs = function(**left_out, **{name: tf.constant(array) for name, array in inputs.items()})
        return {name: np.asarray(tensor) for name, tensor in outputs.items()}


def named_inputs(declaration: Declaration, sample: Sample) -> dict[str, Array]:
    """All inputs of `serving_default` for the sample; each of shape (rows,)."""
    features = {name: sample.columns[name] for name in declaration.features}
    return model_inputs(features, input_dtypes(declaration))


def serialized(declaration: Declaration, sample: Sample) -> Array:
    """The input of `serving_examples`: object array of bytes, shape (rows,)."""
    columns = {name: sample.columns[name].to_pylist() for name in declaration.features}
    return np.array(serialized_examples(columns, declaration), object)


def batches(rows: int, size: int, most: int | None = None) -> Iterator[np.ndarray]:
    """The numbers of the first `most` rows, so many at a time; int64, shape (at most size,)."""
    numbers = np.arange(rows if most is None else min(rows, most))
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


def taken(inputs: Mapping[str, Array], rows: np.ndarray) -> dict[str, Array]:
    """The inputs for some of the rows."""
    return {name: array[rows] for name, array in inputs.items()}
