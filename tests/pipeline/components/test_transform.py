"""Transform on a few rows in several files: what it learns, from which rows, and what it writes of each."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import Artifact, artifact_utils, standard_artifacts

from modules.raw_features import to_sparse
from modules.spec import ROW_ID, SPLITS, TRAIN
from pipeline.components.transform import Executor
from pipeline.ingest import examples as examples_module
from tests.pipeline.cli.trips import DATASET
from tests.pipeline.components.small_examples import ROWS, artifact, context, declaration, examples, row_ids


@dataclasses.dataclass(frozen=True)
class Transformed:
    graph: Artifact
    examples: Artifact

    def file(self, split: str, file: str) -> dict[str, np.ndarray]:
        """The columns of one file, all values of all rows in a row."""
        table = pq.read_table(Path(self.examples.uri, f"Split-{split}", f"examples-{file}.parquet"))
        return {
            name: table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False) for name in table.schema.names
        }


@pytest.fixture(scope="module")
def transformed(tmp_path_factory: pytest.TempPathFactory) -> Transformed:
    directory = tmp_path_factory.mktemp("transform")
    made = Transformed(
        artifact(standard_artifacts.TransformGraph, directory / "graph"),
        artifact(standard_artifacts.Examples, directory / "transformed"),
    )
    (directory / "schema").mkdir()
    (directory / "schema" / "schema.pbtxt").write_text((DATASET / "schema.pbtxt").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examples_module, "_BATCH_ROWS", 3)  # so that a file is more than one batch
        Executor(context(directory)).Do(
            {
                "examples": [examples(directory / "examples")],
                "schema": [artifact(standard_artifacts.Schema, directory / "schema")],
            },
            {"transform_graph": [made.graph], "transformed_examples": [made.examples]},
            {
                "declaration": declaration().model_dump_json(),
                "preprocessing_fn": "modules.preprocessing.preprocessing_fn",
            },
        )
    return made


def test_the_artifact_says_what_it_holds(transformed: Transformed) -> None:
    assert artifact_utils.decode_split_names(transformed.examples.split_names) == list(SPLITS)
    assert examples_utils.get_payload_format(transformed.examples) == example_gen_pb2.PayloadFormat.FORMAT_PARQUET
    written = {str(path.relative_to(transformed.examples.uri)) for path in Path(transformed.examples.uri).rglob("*.*")}
    assert written == {f"Split-{split}/examples-{file}.parquet" for split, file in ROWS}


@pytest.mark.parametrize(("split", "file"), ROWS)
def test_every_row_is_there_in_its_place_with_its_own_id_and_label(
    transformed: Transformed, split: str, file: str
) -> None:
    columns = transformed.file(split, file)
    assert [row.decode() for row in columns[ROW_ID]] == row_ids(split, file)
    assert columns["big_tip"].tolist() == [row % 2 for row in range(len(ROWS[split, file]))]
    assert columns.keys() == {*declaration().features, "big_tip", ROW_ID}


@pytest.mark.parametrize(("split", "file"), ROWS)
def test_the_values_are_the_graphs(transformed: Transformed, split: str, file: str) -> None:
    fares, seconds, payments = zip(*ROWS[split, file], strict=True)
    present = [value is not None for value in seconds]
    layer = tft.TFTransformOutput(transformed.graph.uri).transform_features_layer()
    outputs = layer(
        {
            "fare": tf.constant(fares, tf.float32),
            "trip_seconds": to_sparse(tf.constant([value or 0 for value in seconds], tf.int64), tf.constant(present)),
            "payment_type": tf.constant(payments),
        }
    )
    columns = transformed.file(split, file)
    for name in declaration().features:
        assert columns[name].tobytes() == outputs[name].numpy().tobytes(), name


def test_it_learns_from_the_train_split_alone(transformed: Transformed) -> None:
    train = [file for split, file in ROWS if split == TRAIN]
    fares = np.array([fare for file in train for fare, _, _ in ROWS[TRAIN, file]], np.float32)
    scaled = np.concatenate([transformed.file(TRAIN, file)["fare"] for file in train])
    np.testing.assert_allclose(scaled, (fares - fares.mean()) / fares.std(), rtol=1e-5)
    vocabulary = tft.TFTransformOutput(transformed.graph.uri).vocabulary_by_name("payment_type_vocabulary")
    assert vocabulary == [b"Cash", b"Card", b"Dispute"]


def test_the_graph_takes_features_alone(transformed: Transformed) -> None:
    """A request has neither label nor row id."""
    graph = tft.TFTransformOutput(transformed.graph.uri)
    assert graph.raw_feature_spec().keys() == graph.transformed_feature_spec().keys() == declaration().features.keys()
