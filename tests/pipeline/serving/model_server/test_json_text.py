import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.protobuf import meta_graph_pb2

from pipeline.serving.model_server import json_text
from pipeline.serving.model_server.json_tensors import Format, read_inputs, write_outputs
from pipeline.serving.model_server.tensors import Array

ENUMS = {np.float32: 1, np.float64: 2, np.int64: 9, np.object_: 7}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (9e6, "9e+06"),
        (3e-5, "3e-05"),
        (999999.0, "999999.0"),
        (0.2, "0.2"),  # not 0.200000003
        (1 / 3, "0.333333343"),
        (-0.0, "-0.0"),
        (16777216.0, "16777216.0"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
    ],
)
def test_how_a_float_is_written(value: float, text: str) -> None:
    assert json_text.floats(np.array([value], np.float32)) == [text]


def test_a_double_has_more_digits() -> None:
    assert json_text.floats(np.array([1 / 3, 0.1])) == ["0.33333333333333331", "0.1"]


def there_and_back(array: Array, layout: Format) -> Array:
    """Through a reply and, as what a caller sends, through a request."""
    key = {Format.ROW: "predictions", Format.COLUMNAR: "outputs"}[layout]
    reply = json.loads(write_outputs({"x": array}, layout))
    inputs = {"x": meta_graph_pb2.TensorInfo(dtype=ENUMS[array.dtype.type])}
    found, read = read_inputs({layout.value: reply[key]}, inputs)
    assert read is layout
    return found["x"]


@pytest.mark.parametrize("layout", Format)
@given(st.data())
def test_floats_come_back_with_their_bits(layout: Format, data: st.DataObject) -> None:
    dtype, numbers = data.draw(st.sampled_from([(np.float32, st.floats(width=32)), (np.float64, st.floats())]))
    values = data.draw(st.lists(numbers.filter(lambda number: number == number), min_size=1))
    array = np.array(values, dtype)
    back = there_and_back(array, layout)
    assert (back.dtype, back.tobytes()) == (array.dtype, array.tobytes())
    texts = json_text.floats(array)
    assert all("." in text or "e" in text or "Infinity" in text for text in texts)
    short = [f"{value:g}" for value in array.tolist()]
    assert all(
        text.removesuffix(".0") == less.removesuffix(".0")
        for text, less, value in zip(texts, short, array, strict=True)
        if np.isfinite(value) and dtype(less) == value
    )


@pytest.mark.parametrize("layout", Format)
@given(st.integers(1, 3), st.lists(st.integers(0, 3), max_size=3), st.data())
def test_any_shape_comes_back(layout: Format, rows: int, inner: list[int], data: st.DataObject) -> None:
    if 0 in inner:
        inner = inner[: inner.index(0) + 1]  # a list without elements does not show what they would have been
    count = rows * int(np.prod(inner))
    values = data.draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=count, max_size=count))
    array = np.array(values, np.int64).reshape([rows, *inner])
    back = there_and_back(array, layout)
    assert (back.shape, back.tolist()) == (array.shape, array.tolist())


@pytest.mark.parametrize("layout", Format)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_any_text_comes_back(layout: Format, values: list[str]) -> None:
    array = np.array([value.encode() for value in values], object)
    assert there_and_back(array, layout).tolist() == array.tolist()


@pytest.mark.parametrize("layout", Format)
@given(st.lists(st.binary(), min_size=1))
def test_any_bytes_come_back(layout: Format, values: list[bytes]) -> None:
    """In an output whose name says that they are bytes."""
    reply = json.loads(write_outputs({"x_bytes": np.array(values, object)}, layout))
    (rows,) = reply.values()
    found, _ = read_inputs({layout.value: rows}, {"x": meta_graph_pb2.TensorInfo(dtype=7)})
    assert found["x"].tolist() == values
