from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from modules.spec import ROW_ID, Declaration
from pipeline.ingest.examples import ExampleWriter, example_types, to_examples, values_of

DECLARATION = Declaration.model_validate_json("""{
  "dataset": "shop", "data": "",
  "columns": {
    "note": {"type": "string", "role": "ignored"},
    "shopper": {"type": "string", "role": "key"},
    "at": {"type": "timestamp", "unit": "s", "role": "time"},
    "price": {"type": "float", "role": "feature", "transform": {"name": "scale"}, "missing": "mean"},
    "gift": {"type": "bool", "role": "feature", "transform": {"name": "passthrough"}, "missing": "mean"},
    "count": {"type": "int", "role": "feature", "transform": {"name": "scale"}, "missing": "mean"},
    "bought": {"type": "int", "role": "label"}},
  "label": {"name": "y", "column": "bought"},
  "split": {"by": "time", "validation": 0.1, "eval": 0.2},
  "evaluation": {"thresholds": {"auc": {"at_least": 0}}}}""")

rows = st.lists(
    st.fixed_dictionaries(
        {
            "shopper": st.none() | st.text(max_size=5),
            "at": st.integers(-(2**63), 2**63 - 1),
            "price": st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False),
            "gift": st.none() | st.booleans(),
            "count": st.none() | st.integers(-(2**63), 2**63 - 1),
            "y": st.none() | st.integers(0, 1),
            "row_id": st.text(max_size=5),
        }
    )
)


def columns_of(rows: list[dict[str, Any]]) -> dict[str, pa.Array]:
    types = {"price": pa.float64(), "gift": pa.bool_(), "shopper": pa.string(), "row_id": pa.string()}
    return {
        name: pa.array([row[name] for row in rows], types.get(name, pa.int64()))
        for name in ("shopper", "at", "price", "gift", "count", "y", "row_id")
    }


def test_the_columns_are_features_keys_time_label_and_id() -> None:
    """What makes the label, and what is ignored, never reaches the model's side."""
    assert example_types(DECLARATION) == {
        "price": pa.float32(),
        "gift": pa.int64(),
        "count": pa.int64(),
        "shopper": pa.large_binary(),
        "at": pa.int64(),
        "y": pa.int64(),
        ROW_ID: pa.large_binary(),
    }


@given(rows, st.integers(0, 3))
def test_values_come_back(rows: list[dict[str, Any]], start: int) -> None:
    batch = to_examples(columns_of(rows), DECLARATION)
    for name in example_types(DECLARATION):
        expected = [row[name] for row in rows]
        if name in ("shopper", "row_id"):
            expected = [None if value is None else value.encode() for value in expected]
        assert values_of(batch, name).to_pylist() == expected
        assert values_of(batch.slice(start), name).to_pylist() == expected[start:]
        assert (
            values_of(pa.Table.from_batches([batch.slice(start), batch]), name).to_pylist()
            == expected[start:] + expected
        )


def test_a_slice_of_columns_makes_the_same_examples() -> None:
    rows = [{"shopper": f"s{i}" if i % 2 else None, "at": i, "price": i / 10, "gift": True, "count": None, "y": 1,
             "row_id": f"{i}"} for i in range(9)]  # fmt: skip
    whole = to_examples(columns_of(rows), DECLARATION)
    part = to_examples({name: values.slice(3, 4) for name, values in columns_of(rows).items()}, DECLARATION)
    assert part.to_pylist() == whole.slice(3, 4).to_pylist()


@given(st.lists(st.floats(-3e38, 3e38)))
def test_a_float_is_rounded_once_to_float32(values: list[float]) -> None:
    rows = [{"shopper": None, "at": 0, "price": value, "gift": None, "count": None, "y": 0, "row_id": ""}
            for value in values]  # fmt: skip
    stored = values_of(to_examples(columns_of(rows), DECLARATION), "price")
    assert stored.to_numpy().tobytes() == np.array(values, np.float64).astype(np.float32).tobytes()


def test_a_file_a_split_each_opened_when_its_first_rows_come(tmp_path: Path) -> None:
    rows = [{"shopper": None, "at": i, "price": None, "gift": None, "count": i, "y": 0, "row_id": ""} for i in range(4)]
    batch = to_examples(columns_of(rows), DECLARATION)
    writer = ExampleWriter(str(tmp_path), "00007")
    writer.write("train", batch.slice(0, 1))
    writer.write("eval", batch.slice(1, 1))
    writer.write("train", batch.slice(2, 2))
    writer.close()
    files = {str(path.relative_to(tmp_path)): path for path in sorted(tmp_path.rglob("*.parquet"))}
    assert list(files) == ["Split-eval/examples-00007.parquet", "Split-train/examples-00007.parquet"]
    table = pq.read_table(files["Split-train/examples-00007.parquet"])
    assert values_of(table, "count").to_pylist() == [0, 2, 3]
    assert table.schema.field("shopper").type == pa.large_list(pa.large_binary())
