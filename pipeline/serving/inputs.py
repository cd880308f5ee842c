"""From the columns of rows to the inputs of `serving_default`: the bits that training saw, and a mark where a row lacks
the value.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modules.kernel.rounding import to_example
from modules.spec import PRESENT_SUFFIX, Declaration

Array = npt.NDArray[Any]

_DTYPES = {"int": np.int64, "bool": np.int64, "float": np.float32, "string": np.object_}


def input_dtypes(declaration: Declaration) -> dict[str, np.dtype[Any]]:
    """The inputs of the `serving_default` that is exported for a declaration, text as objects."""
    dtypes = {name: np.dtype(_DTYPES[column.type]) for name, column in declaration.features.items()}
    present = {name + PRESENT_SUFFIX: np.dtype(np.bool_) for name, c in declaration.features.items() if c.optional}
    return dtypes | present


def model_inputs(columns: Mapping[str, pa.Array], dtypes: Mapping[str, np.dtype[Any]]) -> dict[str, Array]:
    """The inputs for some rows.

    Args:
      columns: Features by name, null where a row has no value, each of shape (rows,). Columns that are no inputs are
        left aside, and inputs without a column are left out.
      dtypes: All inputs, the presences too.

    Returns:
      Arrays of shape (rows,); text as an object array of bytes.
    """
    inputs: dict[str, Array] = {}
    for name in columns.keys() & dtypes.keys():
        values = columns[name]
        some_null = values.null_count > 0
        inputs[name] = _array(_filled(values) if some_null else values, dtypes[name])
        if name + PRESENT_SUFFIX in dtypes:
            present = values.is_valid().to_numpy(zero_copy_only=False) if some_null else np.ones(len(values), np.bool_)
            inputs[name + PRESENT_SUFFIX] = present
    return inputs


def _filled(values: pa.Array) -> pa.Array:
    """Zero, false or empty text in place of each null, which is marked absent."""
    return pc.fill_null(values, _empty(values.type))


@functools.cache
def _empty(kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(0 if pa.types.is_primitive(kind) else "").cast(kind)


def _array(values: pa.Array, dtype: np.dtype[Any]) -> Array:
    if dtype.hasobject:
        array = np.empty(len(values), np.object_)
        array[:] = pc.cast(values, pa.binary()).to_pylist()
        return array
    numbers = values.to_numpy(zero_copy_only=False)
    return (to_example(numbers) if dtype == np.float32 else numbers).astype(dtype, copy=False)
