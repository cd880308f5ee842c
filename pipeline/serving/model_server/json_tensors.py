"""Inputs of a predict request in JSON, by rows or by columns, and outputs likewise."""

import enum
import math
from collections.abc import Callable, Mapping
from typing import Any

import grpc
import numpy as np
import tensorflow as tf

from pipeline.serving.model_server import json_text
from pipeline.serving.model_server.json_text import is_base64, shown, type_name
from pipeline.serving.model_server.status import InvalidArgument, ServingError
from pipeline.serving.model_server.tensors import Array, dtype_name


class Format(enum.Enum):
    """How the request is laid out, and so the reply."""

    ROW = "instances"
    COLUMNAR = "inputs"


_MOST_DIMENSIONS = 64  # numpy's
_INT32 = (-(2**31), 2**31 - 1)
_RANGES: dict[Any, tuple[int, int]] = {
    tf.int8: _INT32,  # what does not fit wraps, as upstream
    tf.int16: _INT32,
    tf.int32: _INT32,
    tf.uint8: _INT32,
    tf.int64: (-(2**63), 2**63 - 1),
    tf.uint32: (0, 2**32 - 1),
    tf.uint64: (0, 2**64 - 1),
}
_FLOATS = (tf.float32, tf.float64)


def read_inputs(document: dict[str, Any], inputs: Mapping[str, Any]) -> tuple[dict[str, Array], Format]:
    """The inputs as arrays by alias.

    Args:
      document: The request.
      inputs: TensorInfos of the signature's inputs, at least one.

    Raises:
      InvalidArgument: They do not fit the signature.
    """
    if "instances" in document:
        if "inputs" in document:
            raise InvalidArgument(
                f"JSON Value: {shown(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
                "keys to exist "
            )
        instances = document["instances"]
        if not isinstance(instances, list):
            raise InvalidArgument(f"JSON Value: {shown(document)} Expecting 'instances' to be an list/array")
        if not instances:
            raise InvalidArgument(f"JSON Value: {shown(document)} No values in 'instances' array")
        return _read_rows(instances, inputs), Format.ROW
    if "inputs" in document:
        return _read_columns(document["inputs"], inputs), Format.COLUMNAR
    raise InvalidArgument("Missing 'inputs' or 'instances' key")


def _read_rows(instances: list[Any], inputs: Mapping[str, Any]) -> dict[str, Array]:
    if not isinstance(instances[0], dict) and len(inputs) > 1:
        raise InvalidArgument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    columns = {alias: _Column(info) for alias, info in inputs.items()}
    objects = _is_object(instances[0])
    (only, *_) = inputs
    for number, row in enumerate(instances):
        if not objects:
            if _is_object(row):
                raise InvalidArgument(f"Expecting value/list but got object at item {number} of input list")
            columns[only].add_row(row, f"Failed to process element: {number} of 'instances' list.")
            continue
        if not _is_object(row):
            raise InvalidArgument(f"Expecting object but got list at item {number} of input list")
        for alias, value in row.items():
            where = f"Failed to process element: {number} key: {alias} of 'instances' list."
            if alias not in columns:
                raise InvalidArgument(
                    f"{where} Error: INVALID_ARGUMENT: JSON object: does not have named input: {alias}"
                )
            columns[alias].add_row(value, where)
        if len(row) != len(columns):
            raise InvalidArgument(
                f"Failed to process element: {number} of 'instances' list. JSON object: {shown(row)} keys must be "
                f"equal to: {','.join(sorted(inputs))}"
            )
    return {alias: column.rows(len(instances)) for alias, column in columns.items()}


def _read_columns(value: Any, inputs: Mapping[str, Any]) -> dict[str, Array]:
    if not _is_object(value):
        if len(inputs) > 1:
            raise InvalidArgument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        value = {next(iter(inputs)): value}
    arrays = {}
    for alias, info in inputs.items():
        if alias not in value:
            raise InvalidArgument(f"Missing named input: {alias} in 'inputs' object.")
        column = _Column(info)
        shape = column.add(value[alias])
        arrays[alias] = column.array(shape)
    return arrays


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


class _Column:
    """Values of one input, collected."""

    def __init__(self, info: Any) -> None:
        self._dtype = tf.as_dtype(info.dtype).base_dtype
        self._convert = _converter(self._dtype)
        self._values: list[Any] = []
        self._shape: list[int] | None = None

    def add_row(self, value: Any, where: str) -> None:
        """Takes in the value of a row, which must have the shape of the others."""
        before = len(self._values)
        try:
            shape = self.add(value)
            if self._shape is None:
                self._shape = shape
            elif math.prod(shape) != math.prod(self._shape):
                raise InvalidArgument(
                    f"Expecting tensor size: {math.prod(self._shape)} but got: {len(self._values) - before}"
                )
            elif shape != self._shape:
                raise InvalidArgument(f"Expecting shape {_bracketed(self._shape)} but got: {_bracketed(shape)}")
        except InvalidArgument as error:
            raise InvalidArgument(f"{where} Error: {error}") from None

    def rows(self, count: int) -> Array:
        """All rows as one array."""
        return self.array([count, *(self._shape or [])])

    def array(self, shape: list[int]) -> Array:
        """What was taken in, in this shape."""
        if len(shape) > _MOST_DIMENSIONS:
            raise InvalidArgument(f"Encountered lists at level: {len(shape)} expected <= {_MOST_DIMENSIONS}")
        dtype = self._dtype.as_numpy_dtype
        if self._dtype in _RANGES and _RANGES[self._dtype] is _INT32:
            return np.array(self._values, np.int32).astype(dtype).reshape(shape)
        with np.errstate(over="ignore"):  # what is too large for a float is infinite
            return np.array(self._values, dtype).reshape(shape)

    def add(self, value: Any) -> list[int]:
        """Takes in a value or nested lists of them; returns the shape."""
        shape: list[int] = []
        inner = value
        while isinstance(inner, list):
            shape.append(len(inner))
            inner = inner[0] if inner else None
        self._fill(value, 0, shape)
        return shape

    def _fill(self, value: Any, level: int, shape: list[int]) -> None:
        if not isinstance(value, list):
            if level != len(shape):
                raise InvalidArgument(
                    f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                    f"Expected at level: {len(shape)}"
                )
            self._values.append(self._convert(value))
            return
        if level >= len(shape):
            raise InvalidArgument(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(value) != shape[level]:
            raise InvalidArgument(
                f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
            )
        if level == len(shape) - 1 and not any(map(list.__instancecheck__, value)):
            self._values.extend(map(self._convert, value))
            return
        for each in value:
            self._fill(each, level + 1, shape)


def _converter(dtype: Any) -> Callable[[Any], Any]:
    """From a JSON value that is no list to an element of the dtype."""
    name = dtype_name(np.dtype(dtype.as_numpy_dtype))

    def wrong(value: Any) -> InvalidArgument:
        return InvalidArgument(f"JSON Value: {shown(value)} Type: {type_name(value)} is not of expected type: {name}")

    def number(value: Any) -> Any:
        if type(value) is float or type(value) is int:
            try:
                return float(value)
            except OverflowError:  # a whole number beyond all floats
                return math.copysign(math.inf, value)
        raise wrong(value)

    def text(value: Any) -> bytes:
        if isinstance(value, str):
            return json_text.to_bytes(value)
        if is_base64(value):
            return json_text.from_base64(value)
        if isinstance(value, dict):
            raise InvalidArgument(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
        raise wrong(value)

    def boolean(value: Any) -> bool:
        if isinstance(value, bool):
            return value
        raise wrong(value)

    least, greatest = _RANGES.get(dtype, (0, 0))

    def whole(value: Any) -> int:
        if type(value) is int and least <= value <= greatest:
            return value
        raise wrong(value)

    def unsupported(value: Any) -> Any:
        if isinstance(value, dict):
            raise wrong(value)
        raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"Conversion of JSON Value: {shown(value)} to type: {name}")

    if dtype in _FLOATS:
        return number
    if dtype in _RANGES:
        return whole
    return {tf.string: text, tf.bool: boolean}.get(dtype, unsupported)


def _bracketed(shape: list[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def write_outputs(outputs: Mapping[str, Array], layout: Format) -> bytes:
    """The reply: one output bare, several as objects.

    Raises:
      InvalidArgument: The outputs have no rows, or not equally many; or no JSON is made of their dtype.
    """
    if not outputs:
        raise InvalidArgument("Cannot convert empty tensor map to JSON")
    named = sorted(outputs.items())
    if layout is Format.COLUMNAR:
        level = 2 if len(named) > 1 else 1
        columns = [(name, _nested(_elements(name, array, level), array.shape, level)) for name, array in named]
        value = json_text.members(columns, 1) if len(named) > 1 else columns[0][1]
        return _encode(json_text.members([("outputs", value)], 0))
    rows = _same_rows(named)
    level = 3 if len(named) > 1 else 2
    by_column = [(name, _rows(_elements(name, array, level), array.shape)) for name, array in named]
    if len(named) == 1:
        value = f"[{', '.join(by_column[0][1])}\n    ]" if rows else "[]"
    else:
        value = json_text.lines(
            [json_text.members([(name, texts[row]) for name, texts in by_column], 2) for row in range(rows)], 1
        )
    return _encode(json_text.members([("predictions", value)], 0))


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _same_rows(named: list[tuple[str, Array]]) -> int:
    rows = -1
    for name, array in named:
        if array.ndim == 0:
            raise InvalidArgument(f"Tensor name: {name} has no shape information ")
        if rows not in (-1, len(array)):
            raise InvalidArgument(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {rows}")
        rows = len(array)
    return rows


_WHOLE = frozenset((np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint32, np.uint64))


def _elements(name: str, array: Array, level: int) -> list[str]:
    """Each element as JSON, in order."""
    flat, kind = array.reshape(-1), array.dtype.type
    if kind in (np.float32, np.float64):
        return json_text.floats(flat)
    if kind in _WHOLE:
        return list(map(str, flat.tolist()))
    if kind is np.bool_:
        return ["true" if value else "false" for value in flat.tolist()]
    if kind is np.object_:
        if name.endswith("_bytes"):
            return [json_text.base64_object(value, level) for value in flat.tolist()]
        return list(map(json_text.string, flat.tolist()))
    raise InvalidArgument(f"Failed to write JSON value for tensor type: {dtype_name(array.dtype)}")


def _rows(elements: list[str], shape: tuple[int, ...]) -> list[str]:
    """The JSON of each row, on one line."""
    for size in reversed(shape[1:]):
        if size == 0:
            elements = ["[]"] * math.prod(shape[: shape.index(0)])
            continue
        elements = [f"[{', '.join(elements[start : start + size])}]" for start in range(0, len(elements), size)]
    return elements


def _nested(elements: list[str], shape: tuple[int, ...], level: int) -> str:
    """The JSON of the whole, with an element a line."""
    if not shape:
        return elements[0]
    if 0 in shape:
        return _empty(shape)
    for depth in range(len(shape) - 1, -1, -1):
        size = shape[depth]
        elements = [
            json_text.lines(elements[start : start + size], level + depth) for start in range(0, len(elements), size)
        ]
    return elements[0]


def _empty(shape: tuple[int, ...]) -> str:
    """Nested arrays that hold no element."""
    return f"[{', '.join([_empty(shape[1:])] * shape[0])}]" if shape else ""
