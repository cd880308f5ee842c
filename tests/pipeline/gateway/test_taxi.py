"""The model of a real run, behind the gateway: the scores that the Evaluator's call gives for the same trips."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from modules.spec import ROW_ID, Declaration
from pipeline.ingest.conform import conform
from pipeline.ingest.files import find_files
from pipeline.ingest.readers import read_batches
from pipeline.ingest.rows import row_ids
from pipeline.jobs.bootstrap import bootstrap
from pipeline.live.place import Place
from pipeline.serving.signature import ScoringModel
from tests.artifacts import eval_columns, taxi
from tests.pipeline.gateway.serving import gateway
from tests.pipeline.serving.model_server import serving as model_server

AT_ONCE = 500


def eval_rows(taxi_run: Path, declaration: Declaration) -> tuple[list[dict[str, Any]], dict[str, pa.Array]]:
    """The trips that the Evaluator judged as rows of requests, and their examples with the live features of history."""
    examples = eval_columns(taxi_run, [ROW_ID, *declaration.features])
    [file] = find_files(declaration.data)
    [(_, batch)] = read_batches(file, declaration.columns, declaration.columns, [])
    columns = {n: conform(batch.column(n), column, n)[0] for n, column in declaration.columns.items()}
    places = {identity: at for at, identity in enumerate(row_ids(columns).to_pylist())}
    at = pa.array([places[identity.decode()] for identity in examples[ROW_ID].to_pylist()])
    asked = [n for n, column in declaration.columns.items() if column.role in ("feature", "time")]
    table = pa.table({n: columns[n] for n in asked}).take(at)
    rows = table.to_pylist()
    for row in rows:
        row[declaration.time or ""] //= 1_000_000  # as it is declared
    return rows, examples


@pytest.mark.slow
def test_scores_are_those_of_training(taxi_run: Path, tmp_path: Path) -> None:
    """All 3,001 trips of the eval split, each as of its own time, from a store with the whole history.

    Rows keep what a look-back of three years needs, so that all of them can be asked at once.
    """
    declaration = taxi()
    assert declaration.live is not None
    long = declaration.model_copy(update={"live": declaration.live.model_copy(update={"lookback": "1500d"})})
    rows, examples = eval_rows(taxi_run, declaration)
    assert len(rows) == 3001
    place = Place(f"sqlite://{tmp_path}/live.db", long.features_fingerprint)
    assert place.namespace == declaration.features_fingerprint
    bootstrap(long, {}, None, place, f"{tmp_path}/letters", 20_000)
    model = ScoringModel(str(taxi_run / "serving_model" / "taxi" / "1"))
    expected = model.score({n: examples[n] for n in declaration.features}).numpy().tolist()
    with (
        model_server.running(
            model_name="taxi", model_base_path=str(taxi_run / "serving_model" / "taxi"), rest_api_port=0
        ) as server,
        gateway(long, place.url, server.flags.port, model="taxi") as client,
    ):
        found = []
        for first in range(0, len(rows), AT_ONCE):
            status, reply = client.predict(*rows[first : first + AT_ONCE])
            assert status == 200, reply
            found += reply["predictions"]
        alone = [client.predict(row)[1]["predictions"][0] for row in rows[:50]]
    sure = np.array([each["complete"] for each in found])
    assert sure.mean() > 0.9  # not those of the last day
    for name, feature in declaration.live_features.items():
        values = np.array([each["live"][name]["value"] for each in found])
        rounded = values if feature.dtype == "int" else values.astype(np.float32)
        assert (rounded == examples[name].to_numpy())[sure].all(), name
    wrong = [at for at in np.flatnonzero(sure).tolist() if found[at]["score"] != expected[at]]
    assert wrong == []
    assert alone == found[:50]
