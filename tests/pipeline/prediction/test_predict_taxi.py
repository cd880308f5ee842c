"""The proof on the taxi data: the scores that the Evaluator judged, by every way to a score."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from modules.spec import PRESENT_SUFFIX, ROW_ID, Declaration, load_declaration
from pipeline.ingest.files import find_files
from pipeline.jobs.stream import sources_of, stream
from pipeline.live.place import Place
from pipeline.prediction.predict import predict
from tests.artifacts import artifact, eval_columns, taxi
from tests.conftest import ROOT
from tests.pipeline.prediction.test_predict import table
from tests.pipeline.serving.model_server.serving import predict_request, running

pytestmark = pytest.mark.slow

TRIPS = 15_002


@pytest.fixture(scope="module")
def model(taxi_run: Path) -> Path:
    return taxi_run / "serving_model" / "taxi" / "1"


@pytest.fixture(scope="module")
def predicted(taxi_run: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """All trips, with live features as of each."""
    output = tmp_path_factory.mktemp("predicted") / "out"
    found = predict(taxi(), model, taxi().data, output)
    assert (found.requests, found.scored, found.events) == (TRIPS, TRIPS, {"trips": TRIPS, "payments": TRIPS})
    return table(output)


def bits(scores: pa.ChunkedArray) -> list[int]:
    values = scores.combine_chunks()
    assert values.type == pa.float32()
    return values.to_numpy().view(np.int32).tolist()


def by_id(rows: pa.Table) -> dict[str, int]:
    found = dict(zip(rows[ROW_ID].to_pylist(), bits(rows["score"]), strict=True))
    assert len(found) == len(rows)
    return found


def judged(run: Path) -> dict[str, int]:
    """The Evaluator's kept scores, by the rows' ids."""
    scores = pq.read_table(artifact(run, "Evaluator", "evaluation") / "scores")
    ids = [each.decode() for each in eval_columns(run, [ROW_ID])[ROW_ID].to_pylist()]
    assert [each.decode() for each in scores[ROW_ID].to_pylist()] == ids
    return dict(zip(ids, bits(scores["score"]), strict=True))


def test_the_scores_are_those_that_were_judged(taxi_run: Path, predicted: pa.Table) -> None:
    scores, found = judged(taxi_run), by_id(predicted)
    assert len(scores) == 3001
    assert {each: found[each] for each in scores} == scores


@pytest.mark.parametrize("batch_rows", [97, 4096])
def test_no_batch_changes_a_bit(model: Path, predicted: pa.Table, tmp_path: Path, batch_rows: int) -> None:
    predict(taxi(), model, taxi().data, tmp_path / "out", batch_rows=batch_rows)
    assert bits(table(tmp_path / "out")["score"]) == bits(predicted["score"])


@pytest.mark.parametrize(
    ("batch_events", "answered"),
    [
        (20_000, TRIPS),  # all events are merged before the watermark moves, so nothing is coarse yet
        (1_000, 100),  # the last 60 days, of which the data has few trips
    ],
)
def test_a_store_that_a_stream_has_filled_gives_the_same(
    model: Path, predicted: pa.Table, tmp_path: Path, quick_disk: None, batch_events: int, answered: int
) -> None:
    declaration = load_declaration(ROOT / "schema/taxi/features.yaml", ["live.lookback=60d"])
    place = Place(f"sqlite://{tmp_path}/live.db", declaration.features_fingerprint)
    urls = dict.fromkeys(("trips", "payments"), f"file://{find_files(declaration.data)[0].path}")
    counts = stream(declaration, sources_of(declaration, urls), place, str(tmp_path / "dead"), batch_events)
    assert counts.merged == 2 * TRIPS
    found = predict(declaration, model, declaration.data, tmp_path / "out", store=place.url)
    scored, computed = table(tmp_path / "out"), by_id(predicted)
    complete = np.ones(len(scored), bool)
    for name in declaration.live_features:
        complete &= scored[f"{name}_complete"].to_numpy()
    whole = by_id(scored.filter(pa.array(complete)))
    assert len(whole) >= answered
    assert {each: computed[each] for each in whole} == whole
    assert found.scored == len(whole) + found.incomplete
    assert found.too_old == scored["score"].null_count == TRIPS - found.scored
    assert (found.too_old > 0) == (answered < TRIPS)


def test_the_model_server_gives_the_same_for_the_same_batches(model: Path, predicted: pa.Table) -> None:
    batch = 1024
    answers = []
    with running(model_name="taxi", model_base_path=str(model.parent)) as client:
        for start in range(0, TRIPS, batch):
            inputs = request(taxi(), predicted.slice(start, batch))
            reply = client.prediction.Predict(predict_request("taxi", "", **inputs), timeout=60)
            answers.append(tf.make_ndarray(reply.outputs["score"]))
    assert bits(pa.chunked_array([pa.array(np.concatenate(answers))])) == bits(predicted["score"])


def request(declaration: Declaration, rows: pa.Table) -> dict[str, np.ndarray]:
    """The inputs of a Predict call, made here without the code under test."""
    inputs: dict[str, np.ndarray] = {}
    for name, column in declaration.features.items():
        values = rows[name].to_pylist()
        zero, dtype = {"float": (0.0, np.float32), "int": (0, np.int64), "string": ("", object)}[column.type]
        inputs[name] = np.array([zero if value is None else value for value in values], dtype)
        if column.optional:
            inputs[name + PRESENT_SUFFIX] = np.array([value is not None for value in values])
    return inputs
