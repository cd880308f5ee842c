import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.spec import ROW_ID, Declaration, InputError
from pipeline.ingest.examples import (
    ExampleFile,
    ExampleWriter,
    as_lists,
    example_files,
    example_types,
    read_examples,
    to_examples,
    values_of,
)

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


def test_a_file_has_its_name_once_it_is_complete(tmp_path: Path) -> None:
    batch = to_examples(columns_of([]), DECLARATION)
    path = tmp_path / "Split-train" / "examples-00000.parquet"
    with ExampleFile(str(path)) as file:
        file.write(batch)
        assert example_files(str(tmp_path), ["train"]) == []
        assert not path.exists()
    assert example_files(str(tmp_path), ["eval", "train"]) == [("train", str(path))]
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_left_of_a_file_that_was_not_completed(tmp_path: Path) -> None:
    with contextlib.suppress(ZeroDivisionError), ExampleFile(f"{tmp_path}/examples-00000.parquet") as file:
        file.write(to_examples(columns_of([]), DECLARATION))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_batches_have_the_columns_that_are_asked_for_in_that_order(tmp_path: Path) -> None:
    rows = [{"shopper": None, "at": i, "price": None, "gift": None, "count": i, "y": 0, "row_id": ""} for i in range(4)]
    path = tmp_path / "examples.parquet"
    with ExampleFile(str(path)) as file:
        file.write(to_examples(columns_of(rows), DECLARATION))
    [batch] = read_examples(str(path), ["y", "count"], DECLARATION)
    assert batch.schema.names == ["y", "count"]
    assert values_of(batch, "count").to_pylist() == [0, 1, 2, 3]


def test_examples_with_other_live_features_are_refused(tmp_path: Path) -> None:
    batch = to_examples(columns_of([]), DECLARATION)
    theirs, nobodys = tmp_path / "theirs.parquet", tmp_path / "nobodys.parquet"
    with ExampleFile(str(theirs)) as file:
        file.write(batch.replace_schema_metadata({"twinbeam.features": "f" * 64}))
    with ExampleFile(str(nobodys)) as file:
        file.write(batch.replace_schema_metadata(None))
    with pytest.raises(
        InputError, match=r"theirs.parquet: its live features have the fingerprint ffffffffffff, those "
    ):
        next(read_examples(str(theirs), ["y"], DECLARATION))
    with pytest.raises(InputError, match=r"nobodys.parquet: holds no fingerprint of live features"):
        next(read_examples(str(nobodys), ["y"], DECLARATION))


@pytest.mark.parametrize("width", [0, 1, 3])
@pytest.mark.parametrize("rows", [0, 1, 4])
def test_all_values_of_a_row_are_in_its_list(rows: int, width: int) -> None:
    values = np.arange(rows * width, dtype=np.float32).reshape(rows, width)
    assert as_lists(values).to_pylist() == values.tolist()


def test_one_value_a_row() -> None:
    assert as_lists(np.array([5, 6])).to_pylist() == [[5], [6]]
