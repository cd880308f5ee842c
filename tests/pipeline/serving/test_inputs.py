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


def test_what_a_declaration_exports(tmp_path: Path) -> None:
    found = {name: str(dtype) for name, dtype in input_dtypes(shop.declare(tmp_path)).items()}
    own = {"amount": "float32", "seconds": "int64", "company": "object", "shared": "int64"}
    present = {"seconds_present": "bool", "company_present": "bool"}
    counts = dict.fromkeys(("rides_5m", "rides_area", "riders", "pair"), "int64")
    assert found == own | present | counts | dict.fromkeys(("amount_1h", "last_1h", "tips", "own_sum"), "float32")
