"""The catalogue, computed by the real transform graph: expected values, and the same bits whatever the batch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from modules.preprocessing import preprocessing_fn
from modules.raw_features import parse_spec
from modules.spec import ROW_ID, Declaration

NONE: list[Any] = []
NUMBERS = [0.0, 1.0, 2.0, 4.0, 1e-3, 7.25, 700.07, 3.0]
SPARSE = [[0.0], [1.0], NONE, [4.0], [3.0], NONE, [8.0], [8.0]]
TEXTS = ["b", "a", "a", "c", "a", "b", "d", "a"]

COLUMNS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "scaled": ({"type": "float", "transform": {"name": "scale"}}, NUMBERS),
    "constant": ({"type": "float", "transform": {"name": "scale"}}, [5.0] * 8),
    "scaled_mean": ({"type": "float", "transform": {"name": "scale"}, "missing": "mean"}, SPARSE),
    "scaled_fill": ({"type": "float", "transform": {"name": "scale"}, "missing": {"fill": 0.0}}, SPARSE),
    "logged": ({"type": "float", "transform": {"name": "log"}}, [-1.0, *NUMBERS[1:]]),
    "passed": ({"type": "int", "transform": {"name": "passthrough"}}, [3, -1, 0, 2, 5, 6, 7, 8]),
    "passed_fill": (
        {"type": "int", "transform": {"name": "passthrough"}, "missing": {"fill": -7}},
        [[int(v[0])] if v else v for v in SPARSE],
    ),
    "hot": ({"type": "int", "transform": {"name": "one_hot", "depth": 3}}, [0, 1, 2, 3, -1, 0, 1, 2]),
    "hot_own": (
        {"type": "int", "transform": {"name": "one_hot", "depth": 2}, "missing": "own_category"},
        [[0], [1], NONE, [2], [0], NONE, [1], [1]],
    ),
    "same": ({"type": "int", "transform": {"name": "identity", "size": 3}}, [0, 1, 2, 3, -1, 0, 1, 2**40]),
    "same_own": (
        {"type": "int", "transform": {"name": "identity", "size": 3}, "missing": "own_category"},
        [[0], [1], NONE, [3], [0], NONE, [1], [2]],
    ),
    "bucket": ({"type": "float", "transform": {"name": "bucketise", "buckets": 2}}, [1.0, 2, 3, 4, 5, 6, 7, 8]),
    "bucket_own": (
        {"type": "float", "transform": {"name": "bucketise", "buckets": 2}, "missing": "own_category"},
        SPARSE,
    ),
    "word": ({"type": "string", "transform": {"name": "vocabulary", "top": 2, "oov_buckets": 1}}, TEXTS),
    "small": ({"type": "string", "transform": {"name": "vocabulary", "top": 9, "oov_buckets": 1}}, ["x"] * 7 + ["y"]),
    "word_own": (
        {"type": "string", "transform": {"name": "vocabulary", "top": 2}, "missing": "own_category"},
        [["b"], ["a"], NONE, ["c"], ["a"], NONE, [""], ["b"]],
    ),
    "hashed": ({"type": "string", "transform": {"name": "hash", "buckets": 5}}, TEXTS),
    "flag": ({"type": "bool", "transform": {"name": "vocabulary", "top": 2}}, [1, 0, 1, 1, 0, 1, 1, 1]),
}
EXPECTED: dict[str, list[Any]] = {
    "constant": [[0.0]] * 8,  # no spread: zero, not a division by it
    "logged": [[np.float32(np.log1p(np.float32(max(0.0, x)), dtype=np.float64))] for x in [-1.0, *NUMBERS[1:]]],
    "passed": [[3.0], [-1.0], [0.0], [2.0], [5.0], [6.0], [7.0], [8.0]],
    "passed_fill": [[0.0], [1.0], [-7.0], [4.0], [3.0], [-7.0], [8.0], [8.0]],
    "hot": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "hot_own": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 0]],
    "same": [0, 1, 2, 3, 3, 0, 1, 3],  # outside [0, 3): the one shared category
    "same_own": [0, 1, 4, 3, 0, 4, 1, 2],
    "bucket": [0, 0, 0, 0, 1, 1, 1, 1],  # the boundary, 5, belongs to the bucket above it
    "bucket_own": [0, 0, 2, 1, 0, 2, 1, 1],  # the median of what is there is 4
    "word": [1, 0, 0, 2, 0, 1, 2, 0],  # a is more frequent than b; c and d share the category after them
    "small": [0] * 7 + [1],
    "flag": [0, 1, 0, 0, 1, 0, 0, 0],
}


@pytest.fixture(scope="module")
def declaration() -> Declaration:
    columns = {name: {"role": "feature", **column} for name, (column, _) in COLUMNS.items()}
    columns["time"] = {"type": "timestamp", "role": "time", "unit": "s"}
    columns["y"] = {"type": "int", "role": "label"}
    return Declaration.model_validate_json(
        json.dumps(
            {
                "dataset": "catalogue",
                "data": "",
                "columns": columns,
                "label": {"name": "y", "column": "y"},
                "split": {"by": "time", "validation": 0.1, "eval": 0.2},
                "evaluation": {"thresholds": {"auc": {"at_least": 0.5}}},
            }
        )
    )


@pytest.fixture(scope="module")
def transform_graph(declaration: Declaration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graph, analysed over the eight rows."""
    rows = [
        {name: values[row] for name, (_, values) in COLUMNS.items()} | {"y": row % 2, ROW_ID: [str(row)]}
        for row in range(8)
    ]
    spec = parse_spec(declaration) | {
        "y": tf.io.FixedLenFeature([], tf.int64),
        ROW_ID: tf.io.VarLenFeature(tf.string),
    }
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    directory = tmp_path_factory.mktemp("graph")
    config = {"declaration": declaration.model_dump_json()}
    with (
        beam.Pipeline(argv=["--runner=FnApiRunner"]) as pipeline,
        tft_beam.Context(temp_dir=str(directory / "tmp")),
    ):
        data = pipeline | beam.Create(rows)
        graph = (data, metadata) | tft_beam.AnalyzeDataset(lambda inputs: preprocessing_fn(inputs, config))
        _ = graph | tft_beam.WriteTransformFn(str(directory))
    return directory


Transform = Callable[[list[int]], dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def transform(declaration: Declaration, transform_graph: Path) -> Transform:
    """The model's inputs of some of the rows, in one batch, through parsed examples, as a server does it."""
    layer = tft.TFTransformOutput(str(transform_graph)).transform_features_layer()
    examples = [_example(row).SerializeToString() for row in range(8)]

    def transformed(rows: list[int]) -> dict[str, np.ndarray]:
        raw = tf.io.parse_example(tf.constant([examples[row] for row in rows]), parse_spec(declaration))
        return {name: value.numpy() for name, value in layer(raw).items() if name in COLUMNS}

    return transformed


@pytest.fixture(scope="module")
def found(transform: Transform) -> dict[str, np.ndarray]:
    """Those of all rows."""
    return transform(list(range(8)))


def _example(row: int) -> tf.train.Example:
    example = tf.train.Example()
    for name, (column, values) in COLUMNS.items():
        for value in values[row] if isinstance(values[row], list) else [values[row]]:
            feature = example.features.feature[name]
            kind = {"float": feature.float_list, "string": feature.bytes_list}.get(column["type"], feature.int64_list)
            kind.value.append(value.encode() if isinstance(value, str) else value)
    return example


def test_what_each_transform_gives(found: dict[str, np.ndarray]) -> None:
    for name, expected in EXPECTED.items():
        np.testing.assert_array_equal(found[name], np.array(expected, found[name].dtype), err_msg=name)


def test_scale_is_the_z_score_of_the_training_rows(found: dict[str, np.ndarray]) -> None:
    numbers = np.array(NUMBERS, np.float32)
    np.testing.assert_allclose(found["scaled"][:, 0], (numbers - numbers.mean()) / numbers.std(), rtol=1e-5)
    seen = np.array([v[0] for v in SPARSE if v], np.float32)
    filled = np.array([v[0] if v else seen.mean() for v in SPARSE])
    # The mean is filled in after the statistics are taken, so that missing rows narrow no spread.
    np.testing.assert_allclose(found["scaled_mean"][:, 0], (filled - seen.mean()) / seen.std(), rtol=1e-5, atol=1e-7)
    filled = np.array([v[0] if v else 0.0 for v in SPARSE], np.float32)
    np.testing.assert_allclose(found["scaled_fill"][:, 0], (filled - filled.mean()) / filled.std(), rtol=1e-5)


def test_an_absent_category_is_never_a_known_one(found: dict[str, np.ndarray]) -> None:
    words = found["word_own"]
    assert words[2] == words[5] == 3  # two known, one unknown, then the category of its own
    assert 3 not in np.delete(words, [2, 5])  # not even for the empty text in row 6


@pytest.mark.parametrize("name", COLUMNS)
def test_categories_are_what_the_declaration_says(
    declaration: Declaration, found: dict[str, np.ndarray], name: str
) -> None:
    column, values = declaration.features[name], found[name]
    if column.categories is None:
        assert values.dtype == np.float32
        assert values.shape == (8, column.width)
    else:
        assert values.dtype == np.int64
        assert values.shape == (8,)
        assert 0 <= values.min() <= values.max() < column.categories


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_the_batch_changes_no_bit(transform: Transform, found: dict[str, np.ndarray], batch: int) -> None:
    for start in range(0, 8, batch):
        rows = list(range(start, min(8, start + batch)))
        part = transform(rows)
        for name in COLUMNS:
            assert part[name].tobytes() == found[name][rows].tobytes(), name
