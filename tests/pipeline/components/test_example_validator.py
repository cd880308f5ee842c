"""How many rows contradict the curated schema: counted, not estimated."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from pipeline.components.example_validator import _rows_against

NONE = None


@pytest.mark.parametrize(
    ("feature", "values", "expected"),
    [
        ("type: INT presence { min_fraction: 1 }", [1, NONE, 3, NONE], 2),  # required, and missing in two rows
        ("type: INT presence { min_fraction: 0.5 }", [1, NONE, 3, NONE], 0),  # half are there, and half is enough
        ("type: INT presence { min_fraction: 0.6 }", [1, NONE, 3, NONE], 2),
        ("type: INT presence { min_count: 1 }", [1, NONE, NONE, NONE], 0),  # optional
        ("type: INT presence { min_count: 1 }", [NONE, NONE, NONE, NONE], 4),  # optional, but never there
        ("type: INT int_domain { min: 2 max: 3 }", [1, 2, 3, 4], 2),  # both ends are inside
        ("type: INT int_domain { max: 3 }", [-1, 0, 3, 4], 1),  # no least value: negative ones are inside
        ("type: INT int_domain { min: 2 }", [1, 2, 3, NONE], 1),
        ("type: FLOAT float_domain { min: 0.0 }", [-0.5, 0.0, 0.5, NONE], 1),
        ("type: FLOAT float_domain { max: 0.0 }", [-0.5, 0.0, 0.5, NONE], 1),
        ("type: BYTES domain: 'colour'", ["red", "blue", "green", NONE], 1),
        ("type: BYTES string_domain { value: 'red' }", ["red", "blue", "green", NONE], 2),
        ("type: FLOAT", [1, 2, NONE, 4], 3),  # the data holds whole numbers: every value is of another type
        ("type: BYTES domain: 'colour' presence { min_fraction: 1 }", ["red", "green", NONE, NONE], 3),  # two reasons
    ],
)
def test_rows_against_a_feature(tmp_path: Path, feature: str, values: list[object], expected: int) -> None:
    schema = schema_of(f"feature {{ name: 'x' {feature} }}")
    write(tmp_path / "a.parquet", "x", values[:1])  # more than one file, and one file without its first row
    write(tmp_path / "b.parquet", "x", values[1:], like=values)
    assert _rows_against(schema, "x", tmp_path) == expected


def test_a_column_that_the_schema_does_not_know(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", "y", [1, NONE, 3])
    assert _rows_against(schema_of("feature { name: 'x' type: INT }"), "y", tmp_path) == 3


def test_a_column_that_the_data_does_not_have(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", "y", [1, 2, 3])
    required = schema_of("feature { name: 'x' type: INT presence { min_fraction: 1 } }")
    assert _rows_against(required, "x", tmp_path) == 3


def schema_of(text: str) -> schema_pb2.Schema:
    colours = "string_domain { name: 'colour' value: 'red' value: 'blue' }"
    return text_format.Parse(text + colours, schema_pb2.Schema())


def write(path: Path, name: str, values: list[object], like: list[object] | None = None) -> None:
    """One file of examples, in their form: lists of one value, null where there is none."""
    present = next((value for value in like or values if value is not None), 0)
    inner = {int: pa.int64(), float: pa.float32(), str: pa.large_binary()}[type(present)]
    lists = pa.array([None if value is None else [value] for value in values], pa.large_list(inner))
    pq.write_table(pa.table({name: lists}), path)
