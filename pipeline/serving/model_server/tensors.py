"""TensorProtos to arrays and back, by the rules of TensorFlow's own parser."""

import math
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from pipeline.serving.model_server.status import InvalidArgument
from pipeline.serving.protocol import types_pb2

Array = npt.NDArray[Any]

_FIELDS = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT8: "int_val",
    types_pb2.DT_INT16: "int_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_UINT8: "int_val",
    types_pb2.DT_UINT16: "int_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
    types_pb2.DT_BOOL: "bool_val",
    types_pb2.DT_STRING: "string_val",
    types_pb2.DT_HALF: "half_val",
    types_pb2.DT_BFLOAT16: "half_val",
    types_pb2.DT_COMPLEX64: "scomplex_val",
    types_pb2.DT_COMPLEX128: "dcomplex_val",
}
"""Where the values of a dtype are, if not in `tensor_content`."""

_STORED = {"int_val": np.int32, "half_val": np.uint16, "scomplex_val": np.float32, "dcomplex_val": np.float64}
"""How a field holds its values, where that is not how an array does."""

_NUMPY = {
    types_pb2.DT_FLOAT: np.dtype(np.float32),
    types_pb2.DT_DOUBLE: np.dtype(np.float64),
    types_pb2.DT_INT8: np.dtype(np.int8),
    types_pb2.DT_INT16: np.dtype(np.int16),
    types_pb2.DT_INT32: np.dtype(np.int32),
    types_pb2.DT_INT64: np.dtype(np.int64),
    types_pb2.DT_UINT8: np.dtype(np.uint8),
    types_pb2.DT_UINT16: np.dtype(np.uint16),
    types_pb2.DT_UINT32: np.dtype(np.uint32),
    types_pb2.DT_UINT64: np.dtype(np.uint64),
    types_pb2.DT_BOOL: np.dtype(np.bool_),
    types_pb2.DT_STRING: np.dtype(object),
    types_pb2.DT_HALF: np.dtype(np.float16),
    types_pb2.DT_BFLOAT16: np.dtype(ml_dtypes.bfloat16),
    types_pb2.DT_COMPLEX64: np.dtype(np.complex64),
    types_pb2.DT_COMPLEX128: np.dtype(np.complex128),
}
_ENUMS = {dtype: enum for enum, dtype in _NUMPY.items()}


def to_array(proto: Any, name: str) -> Array:
    """The tensor's values; strings as an array of bytes objects.

    A list of values that is shorter than the shape says goes on with its last value, an empty one with zeros.

    Raises:
      InvalidArgument: It is no tensor.
    """
    try:
        return _to_array(proto)
    except (ValueError, KeyError, MemoryError, OverflowError):
        raise InvalidArgument(f"tensor parsing error: {name}") from None


def _to_array(proto: Any) -> Array:
    tensor_shape, enum, content = proto.tensor_shape, proto.dtype, proto.tensor_content
    if tensor_shape.unknown_rank:
        raise ValueError("unknown rank")
    shape = [dim.size for dim in tensor_shape.dim]
    if shape and min(shape) < 0:
        raise ValueError("a negative size")
    dtype = _NUMPY[enum]
    if content:
        if dtype.hasobject:
            return _strings(proto)
        return np.frombuffer(content, dtype).reshape(shape)
    field, count = _FIELDS[enum], math.prod(shape)
    values = _from_field(getattr(proto, field), field, dtype)
    if len(values) < count:
        values = np.concatenate([values, np.full(count - len(values), values[-1] if len(values) else _zero(dtype))])
    return values[:count].reshape(shape)


def _strings(proto: Any) -> Array:
    """Of `tensor_content`; nobody sends strings so, and there is no fast path."""
    import tensorflow as tf

    try:
        return np.asarray(tf.io.parse_tensor(proto.SerializeToString(), tf.string).numpy(), object)
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(error.message) from None


def _from_field(field: Any, name: str, dtype: np.dtype[Any]) -> Array:
    values = np.array(field[:], _STORED.get(name, dtype))
    return values.astype(dtype) if name == "int_val" else values.view(dtype) if name in _STORED else values


def _zero(dtype: np.dtype[Any]) -> Any:
    return b"" if dtype.hasobject else dtype.type(0)


def to_proto(array: Array, proto: Any, as_content: bool) -> None:
    """Writes the array into an empty TensorProto, into the field of its dtype or, on request, into `tensor_content`."""
    proto.dtype = enum = _ENUMS[array.dtype]
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    if as_content and not array.dtype.hasobject:
        proto.tensor_content = array.tobytes()
        return
    name = _FIELDS[enum]
    if name in ("half_val", "scomplex_val", "dcomplex_val"):
        array = np.ascontiguousarray(array).reshape(-1).view(_STORED[name])
    getattr(proto, name).extend(array.reshape(-1).tolist())


def dtype_name(dtype: np.dtype[Any]) -> str:
    """What TensorFlow calls it in its messages: float, int64."""
    return enum_name(dtype).removeprefix("DT_").lower()


def shape_text(array: Array) -> str:
    """The shape as TensorFlow prints it: [2,3]."""
    return f"[{','.join(map(str, array.shape))}]"


def enum_name(dtype: np.dtype[Any]) -> str:
    """What the protocol calls it: DT_FLOAT."""
    return str(types_pb2.DataType.Name(_ENUMS[dtype]))
