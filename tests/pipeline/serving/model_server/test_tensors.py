import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import tensor_pb2

from pipeline.serving.model_server.status import InvalidArgument
from pipeline.serving.model_server.tensors import to_array, to_proto
from tests.pipeline.serving.model_server.models import Kinds

VALUES = {"string": [b"a", b"\x00\xff", b""], "bool": [True, False, True], "complex": [1j, 2, -3]}


@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize("shape", [(3,), (3, 1), (1, 3)])
@pytest.mark.parametrize("kind", Kinds.DTYPES)
def test_there_and_back(kind: str, shape: tuple[int, ...], as_content: bool) -> None:
    """As TensorFlow itself reads and writes it."""
    dtype = Kinds.DTYPES[kind].as_numpy_dtype
    array = np.array(VALUES.get(kind, [0, 1, 7]), dtype).reshape(shape)
    proto = tensor_pb2.TensorProto()
    to_proto(array, proto, as_content)
    assert bool(proto.tensor_content) == (as_content and kind != "string")
    assert tf.io.parse_tensor(proto.SerializeToString(), Kinds.DTYPES[kind]).numpy().tolist() == array.tolist()
    back = to_array(proto, "x")
    assert (back.dtype, back.shape, back.tolist()) == (array.dtype, array.shape, array.tolist())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dtype: DT_FLOAT float_val: 2", 2.0),  # no shape: a scalar
        ("dtype: DT_FLOAT tensor_shape { dim { size: 3 } } float_val: [1, 2]", [1, 2, 2]),  # the last goes on
        ("dtype: DT_FLOAT tensor_shape { dim { size: 2 } }", [0, 0]),
        ("dtype: DT_STRING tensor_shape { dim { size: 2 } }", [b"", b""]),
        ("dtype: DT_INT64 tensor_shape { dim { size: 1 } } int64_val: [5, 6]", [5]),  # more than there is room for
        ("dtype: DT_UINT8 tensor_shape { dim { size: 1 } } int_val: 300", [44]),
        ("dtype: DT_FLOAT tensor_shape { dim { size: 0 } }", []),
        ("dtype: DT_FLOAT tensor_shape { dim { size: 2 } dim { size: 0 } }", [[], []]),
        ('dtype: DT_STRING tensor_shape { dim { size: 2 } } tensor_content: "\\001\\002abc"', [b"a", b"bc"]),
    ],
)
def test_how_a_proto_is_read(text: str, expected: object) -> None:
    proto = text_format.Parse(text, tensor_pb2.TensorProto())
    assert to_array(proto, "x").tolist() == expected
    assert tf.io.parse_tensor(proto.SerializeToString(), tf.as_dtype(proto.dtype)).numpy().tolist() == expected


@pytest.mark.parametrize(
    "text",
    [
        "float_val: 1",  # no dtype
        "dtype: DT_RESOURCE",
        "dtype: 999",
        "dtype: DT_FLOAT tensor_shape { unknown_rank: true }",
        "dtype: DT_FLOAT tensor_shape { dim { size: -1 } }",
        'dtype: DT_FLOAT tensor_shape { dim { size: 2 } } tensor_content: "abcd"',
        'dtype: DT_FLOAT tensor_shape { dim { size: 1 } } tensor_content: "abc"',
        'dtype: DT_STRING tensor_shape { dim { size: 2 } } tensor_content: "abc"',
        "dtype: DT_FLOAT tensor_shape { dim { size: 1000000000 } dim { size: 1000000000 } } float_val: 1",
        "dtype: DT_FLOAT tensor_shape { dim { size: 9000000000000000000 } dim { size: 9 } } float_val: 1",
    ],
)
def test_no_tensor(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^INVALID_ARGUMENT: tensor parsing error: x$"):
        to_array(text_format.Parse(text, tensor_pb2.TensorProto()), "x")
