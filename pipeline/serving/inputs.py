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
      columns: Features by name, each of shape (rows,), null where a row has no value. Columns that are no inputs are
        left aside, and inputs without a column are left out.
      dtypes: All inputs, the presences too.

    Returns:
      Arrays of shape (rows,); text as an object array of bytes.
    """
    inputs: dict[str, Array] = {}
    for name in columns.keys() & dtypes.keys():
        dtype = dtypes[name]
        values, present = _of_arrow(columns[name])
        inputs[name] = (to_example(values) if dtype == np.float32 else values).astype(dtype, copy=False)
        if name + PRESENT_SUFFIX in dtypes:
            inputs[name + PRESENT_SUFFIX] = present
    return inputs


def _of_arrow(values: pa.Array) -> tuple[Array, Array]:
    """The values at full width, zero or empty bytes where there is none; and whether there is one."""
    present = np.ones(len(values), np.bool_)
    if values.null_count:
        present = values.is_valid().to_numpy(zero_copy_only=False)
        values = pc.fill_null(values, _empty(values.type))
    if pa.types.is_primitive(values.type):
        return values.to_numpy(zero_copy_only=False), present
    text = np.empty(len(values), np.object_)
    text[:] = pc.cast(values, pa.binary()).to_pylist()
    return text, present


@functools.cache
def _empty(kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(0 if pa.types.is_primitive(kind) else "").cast(kind)
