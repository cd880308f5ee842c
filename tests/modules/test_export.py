"""The exported model of a real run: every signature gives the same bits, and nothing stands for a missing value."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from modules.spec import EVAL, FINGERPRINT_SIGNATURE, PRESENT_SUFFIX, ROW_ID, Declaration
from pipeline.serving.signature import ScoringModel
from tests.artifacts import artifact, eval_columns, taxi

Inputs = dict[str, tf.Tensor]


@pytest.fixture(scope="module")
def declaration() -> Declaration:
    return taxi()


@pytest.fixture(scope="module")
def model_dir(taxi_run: Path) -> Path:
    return taxi_run / "serving_model" / "taxi" / "1"


@pytest.fixture(scope="module")
def model(model_dir: Path) -> Any:
    return tf.saved_model.load(str(model_dir))


@pytest.fixture(scope="module")
def rows(taxi_run: Path, declaration: Declaration) -> dict[str, pa.Array]:
    """The features of the 3,001 rows that the Evaluator judged."""
    return eval_columns(taxi_run, list(declaration.features))


@pytest.fixture(scope="module")
def scores(taxi_run: Path) -> np.ndarray:
    """What the Evaluator judged them by."""
    return pq.read_table(artifact(taxi_run, "Evaluator", "evaluation") / "scores")["score"].combine_chunks().to_numpy()


def named(declaration: Declaration, rows: dict[str, pa.Array]) -> Inputs:
    """All inputs of `serving_default`, made here without the code under test."""
    inputs: Inputs = {}
    zero = {"float": 0.0, "int": 0, "string": b""}
    for name, column in declaration.features.items():
        values = rows[name].to_pylist()
        dtype = {"float": tf.float32, "int": tf.int64, "string": tf.string}[column.type]
        inputs[name] = tf.constant([zero[column.type] if value is None else value for value in values], dtype)
        if column.optional:
            inputs[name + PRESENT_SUFFIX] = tf.constant([value is not None for value in values])
    return inputs


def examples(declaration: Declaration, rows: dict[str, pa.Array]) -> list[bytes]:
    """The same rows as serialized `tf.Example`s, without what they lack."""
    serialized = []
    for row in range(len(next(iter(rows.values())))):
        example = tf.train.Example()
        for name, column in declaration.features.items():
            if (value := rows[name][row].as_py()) is not None:
                feature = example.features.feature[name]
                kind = {"float": feature.float_list, "string": feature.bytes_list}.get(column.type, feature.int64_list)
                kind.value.append(value)
        serialized.append(example.SerializeToString())
    return serialized


def same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    return left.dtype == right.dtype == np.float32 and left.tobytes() == right.tobytes()


def test_serving_default_gives_the_scores_that_were_judged(
    model: Any, declaration: Declaration, rows: dict[str, pa.Array], scores: np.ndarray
) -> None:
    found = model.signatures["serving_default"](**named(declaration, rows))["score"].numpy()
    assert len(found) == 3001
    assert same_bits(found, scores)


def test_serving_examples_gives_the_same_bits(
    model: Any, declaration: Declaration, rows: dict[str, pa.Array], scores: np.ndarray
) -> None:
    serialized = tf.constant(examples(declaration, rows))
    assert same_bits(model.signatures["serving_examples"](examples=serialized)["score"].numpy(), scores)


@pytest.mark.parametrize("batch", [1, 7, 64, 1000])
def test_the_batch_changes_no_score(model_dir: Path, rows: dict[str, pa.Array], scores: np.ndarray, batch: int) -> None:
    scoring = ScoringModel(str(model_dir))
    upto = min(len(scores), 300 * batch)
    parts = [
        scoring.score({name: values.slice(at, min(batch, upto - at)) for name, values in rows.items()}).numpy()
        for at in range(0, upto, batch)
    ]
    assert same_bits(np.concatenate(parts), scores[:upto])


def test_transform_features_gives_the_bits_that_the_model_was_trained_on(
    model: Any, taxi_run: Path, declaration: Declaration, rows: dict[str, pa.Array]
) -> None:
    [path] = (artifact(taxi_run, "Transform", "transformed_examples") / f"Split-{EVAL}").iterdir()
    kept = pq.read_table(path)
    assert kept[ROW_ID].to_pylist() == [[row] for row in eval_columns(taxi_run, [ROW_ID])[ROW_ID].to_pylist()]
    found = model.signatures["transform_features"](**named(declaration, rows))
    assert found.keys() == declaration.features.keys()
    for name in declaration.features:
        assert found[name].numpy().tobytes() == kept[name].combine_chunks().flatten().to_numpy().tobytes(), name


def test_the_model_says_on_which_live_features_it_was_trained(model: Any, declaration: Declaration) -> None:
    found = model.signatures[FINGERPRINT_SIGNATURE]()[FINGERPRINT_SIGNATURE].numpy().decode()
    assert found == declaration.features_fingerprint
    assert len(found) == 64


def test_an_optional_feature_can_be_left_out(model: Any, declaration: Declaration, rows: dict[str, pa.Array]) -> None:
    inputs = named(declaration, rows)
    absent = inputs | {"company" + PRESENT_SUFFIX: tf.zeros(3001, tf.bool)}
    left_out = inputs | {"company": tf.constant([], tf.string), "company" + PRESENT_SUFFIX: tf.constant([], tf.bool)}
    score = model.signatures["serving_default"]
    assert same_bits(score(**left_out)["score"].numpy(), score(**absent)["score"].numpy())
    assert not same_bits(score(**left_out)["score"].numpy(), score(**inputs)["score"].numpy())


def test_an_optional_feature_without_its_presence_counts_in_every_row(
    model: Any, declaration: Declaration, rows: dict[str, pa.Array]
) -> None:
    inputs = named(declaration, rows)
    given = inputs | {"company" + PRESENT_SUFFIX: tf.ones(3001, tf.bool)}
    unmarked = inputs | {"company" + PRESENT_SUFFIX: tf.constant([], tf.bool)}
    score = model.signatures["serving_default"]
    assert same_bits(score(**unmarked)["score"].numpy(), score(**given)["score"].numpy())


@pytest.mark.parametrize("value", ["", "Taxi Affiliation Services"])
def test_what_an_absent_row_holds_has_no_meaning(
    model: Any, declaration: Declaration, rows: dict[str, pa.Array], value: str
) -> None:
    """No value is a sentinel: an absent company is absent whatever text is sent for it."""
    inputs = named(declaration, {name: values.slice(0, 50) for name, values in rows.items()})
    absent = inputs | {"company": tf.constant([value] * 50), "company" + PRESENT_SUFFIX: tf.zeros(50, tf.bool)}
    other = absent | {"company": tf.constant(["anything"] * 50)}
    score = model.signatures["serving_default"]
    assert same_bits(score(**absent)["score"].numpy(), score(**other)["score"].numpy())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fare": [1.0]}, "fare has fewer rows than another input"),
        ({"company": ["a"], "company_present": [True] * 3}, "company has fewer rows than another input"),
        ({"company_present": [True]}, "company_present has fewer rows than another input"),
        ({"company": [], "company_present": [False, True, False]}, "company_present is true, but company is left out"),
    ],
)
def test_inputs_that_contradict_each_other_are_refused(
    model: Any, declaration: Declaration, rows: dict[str, pa.Array], change: dict[str, list[Any]], words: str
) -> None:
    inputs = named(declaration, {name: values.slice(0, 3) for name, values in rows.items()})
    inputs |= {name: tf.constant(value, inputs[name].dtype) for name, value in change.items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        model.signatures["serving_default"](**inputs)


def test_the_signature_says_what_may_be_left_out(model_dir: Path, declaration: Declaration) -> None:
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((model_dir / "saved_model.pb").read_bytes())
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    optional = {name for name, column in declaration.features.items() if column.optional}
    presences = {name + PRESENT_SUFFIX for name in optional}
    assert set(signature.defaults) == optional | presences | set(declaration.live_features)
    assert len(declaration.features) == 22
    assert len(declaration.live_features) == 8
    assert set(signature.inputs) == set(declaration.features) | set(signature.defaults)
    assert all(tf.make_ndarray(default).shape == (0,) for default in signature.defaults.values())


def test_warm_up_requests_are_answered(model: Any, model_dir: Path) -> None:
    path = model_dir / "assets.extra" / "tf_serving_warmup_requests"
    sizes = set()
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        signature = model.signatures[request.model_spec.signature_name]
        inputs = {name: tf.constant([], spec.dtype) for name, spec in signature.structured_input_signature[1].items()}
        inputs |= {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        sizes.add((request.model_spec.signature_name, len(signature(**inputs)["score"])))
    assert sizes == {(name, rows) for name in ("serving_default", "serving_examples") for rows in (1, 100)}


def test_a_session_that_restores_the_variables_gives_the_same_bits(
    model_dir: Path, declaration: Declaration, rows: dict[str, pa.Array], scores: np.ndarray
) -> None:
    """As TensorFlow Serving loads it, which knows no Python objects."""
    serialized = examples(declaration, rows)[:100]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(model_dir))
        signature = loaded.signature_def["serving_examples"]
        fed = {signature.inputs["examples"].name: serialized}
        found = session.run(signature.outputs["score"].name, fed)
    assert same_bits(found, scores[:100])
