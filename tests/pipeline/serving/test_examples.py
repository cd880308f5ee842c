"""The input of `serving_examples`: a parser finds in it the bits of the inputs of `serving_default`."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings

from modules.raw_features import parse_spec
from modules.spec import PRESENT_SUFFIX, Declaration
from pipeline.live.requests import canonical
from pipeline.serving.examples import serialized_examples
from pipeline.serving.inputs import input_dtypes, model_inputs
from tests.pipeline.gateway import shop

_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "string": st.text(st.characters(exclude_categories=["Cs"])),
}


@pytest.fixture(scope="module")
def declaration(tmp_path_factory: pytest.TempPathFactory) -> Declaration:
    return shop.declare(tmp_path_factory.mktemp("shop"))


@settings(max_examples=50)
@given(data=st.data(), rows=st.integers(1, 3))
def test_a_parser_finds_the_bits_of_the_named_inputs(declaration: Declaration, data: st.DataObject, rows: int) -> None:
    columns: dict[str, list[Any]] = {}
    for name, column in declaration.features.items():
        value = st.none() | _VALUES[column.type] if column.optional else _VALUES[column.type]
        columns[name] = data.draw(st.lists(value, min_size=rows, max_size=rows))
    examples = serialized_examples({**columns, "other": [None] * rows}, declaration)
    parsed = tf.io.parse_example(examples, parse_spec(declaration))
    arrays = {name: pa.array(columns[name], canonical(column)) for name, column in declaration.features.items()}
    expected = model_inputs(arrays, input_dtypes(declaration))
    for name, column in declaration.features.items():
        found = parsed[name]
        if column.optional:
            present = np.zeros(rows, bool)
            present[found.indices.numpy()[:, 0]] = True
            assert present.tolist() == expected[name + PRESENT_SUFFIX].tolist()
            assert found.values.numpy().tolist() == expected[name][present].tolist()
        elif expected[name].dtype.hasobject:
            assert found.numpy().tolist() == expected[name].tolist()
        else:
            assert found.numpy().dtype == expected[name].dtype
            assert found.numpy().tobytes() == expected[name].tobytes()


def test_text_may_be_its_bytes(declaration: Declaration) -> None:
    columns: dict[str, list[Any]] = {name: [1] for name in declaration.features}
    text, content = ({**columns, "company": [company]} for company in ("é", "é".encode()))
    assert serialized_examples(text, declaration) == serialized_examples(content, declaration)
