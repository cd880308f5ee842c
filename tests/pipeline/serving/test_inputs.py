"""The inputs of `serving_default`: every dtype, and a mark where a row lacks the value, whatever its bits."""

import math
import struct
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from modules.kernel.rounding import to_example
from pipeline.serving.inputs import input_dtypes, model_inputs
from tests.pipeline.gateway import shop

DTYPES = {
    "whole": np.dtype(np.int64),
    "whole_present": np.dtype(np.bool_),
    "real": np.dtype(np.float32),
    "flag": np.dtype(np.int64),
    "text": np.dtype(np.object_),
    "text_present": np.dtype(np.bool_),
}


def inputs(**columns: pa.Array) -> dict[str, list[Any]]:
    return {name: array.tolist() for name, array in model_inputs(columns, DTYPES).items()}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"whole": pa.array([1, None])}, {"whole": [1, 0], "whole_present": [True, False]}),
        ({"whole": pa.array([0, 2**63 - 1])}, {"whole": [0, 2**63 - 1], "whole_present": [True, True]}),
        ({"whole": pa.array([None, None], pa.int64())}, {"whole": [0, 0], "whole_present": [False, False]}),
        ({"text": pa.array(["é", "", None])}, {"text": [b"\xc3\xa9", b"", b""], "text_present": [True, True, False]}),
        ({"text": pa.array([b"\xff", None])}, {"text": [b"\xff", b""], "text_present": [True, False]}),
        ({"flag": pa.array([True, False])}, {"flag": [1, 0]}),
        ({"flag": pa.array([1, 0])}, {"flag": [1, 0]}),  # as examples hold it
        ({"real": pa.array([0.5], pa.float32())}, {"real": [0.5]}),
        ({"real": pa.array([], pa.float64())}, {"real": []}),
        ({"other": pa.array([1])}, {}),
    ],
)
def test_table(columns: dict[str, pa.Array], expected: dict[str, list[Any]]) -> None:
    assert inputs(**columns) == expected


@given(st.lists(st.floats(allow_nan=False)))
def test_floats_are_rounded_once(values: list[float]) -> None:
    found = model_inputs({"real": pa.array(values, pa.float64())}, DTYPES)["real"]
    assert found.dtype == np.float32
    assert found.tobytes() == to_example(np.array(values, np.float64)).tobytes()
    for value, rounded in zip(values, found.tolist(), strict=True):
        if abs(value) <= 3.4e38 and not math.isinf(value):
            assert struct.pack("<f", value) == struct.pack("<f", rounded)


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)), st.integers(0, 3))
def test_a_slice_has_what_its_rows_have(values: list[int | None], offset: int) -> None:
    whole = pa.array([7] * offset + values, pa.int64()).slice(offset)
    found = inputs(whole=whole)
    assert found["whole"] == [value or 0 for value in values]
    assert found["whole_present"] == [value is not None for value in values]


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | values)


@given(
    whole=optional(st.integers(-(2**63), 2**63 - 1)),
    real=optional(st.floats(allow_nan=False)),
    flag=optional(st.booleans()),
    text=optional(st.text(st.characters(exclude_categories=["Cs"]))),
)
def test_python_values_give_the_bits_of_arrow(**columns: list[Any]) -> None:
    types = {"whole": pa.int64(), "real": pa.float64(), "flag": pa.bool_(), "text": pa.string()}
    found = model_inputs(columns, DTYPES)
    expected = model_inputs({name: pa.array(values, types[name]) for name, values in columns.items()}, DTYPES)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype == DTYPES[name]
        assert (
            found[name].tolist() == array.tolist()
            if array.dtype.hasobject
            else found[name].tobytes() == array.tobytes()
        )


def test_an_array_has_a_value_in_each_row() -> None:
    found = model_inputs({"real": np.array([0.1, -0.0]), "whole": np.array([3, 4])}, DTYPES)
    assert found["real"].tobytes() == np.array([0.1, -0.0], np.float32).tobytes()
    assert found["whole_present"].tolist() == [True, True]


def test_what_a_declaration_exports(tmp_path: Path) -> None:
    found = {name: str(dtype) for name, dtype in input_dtypes(shop.declare(tmp_path)).items()}
    own = {"amount": "float32", "seconds": "int64", "company": "object", "shared": "int64"}
    present = {"seconds_present": "bool", "company_present": "bool"}
    counts = dict.fromkeys(("rides_5m", "rides_area", "riders", "pair"), "int64")
    assert found == own | present | counts | dict.fromkeys(("amount_1h", "last_1h", "tips", "own_sum"), "float32")
