"""The record of a run: read back as it was written, or not at all."""

from pathlib import Path

import pytest

from modules.paired import Pair, compare
from pipeline.parity.check import Check
from pipeline.results.record import ComponentRecord, RunRecord

RECORD = RunRecord(
    run_id="2026-01-01T00-00-00.000000Z",
    dataset="trips",
    digest="d",
    data="trips.csv",
    content="c",
    code="e",
    declaration="f",
    seed=1,
    version=3,
    model="build/serving_model/trips/3",
    rows={"train": 7},
    live_features=2,
    events={"trips": 9},
    not_counted=("trips, 1 event (late)",),
    ablation=compare([Pair(1, {"auc": 0.8}, {"auc": 0.7}), Pair(2, {"auc": 0.8}, {"auc": 0.75})]),
    parity=(Check("scores", True, 7, 0, "7 values of 7 rows compared, none differs."),),
    metrics={"auc": 0.75},
    example={"fare": 12.5, "payment_type": "Cash", "trip_seconds": 60},
    seconds=12.5,
    components=(ComponentRecord(name="Trainer", seconds=1.5, cached=True, figure="10 steps"),),
)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "last_run.json"
    path.write_text("an older one")
    RECORD.write(path)
    assert RunRecord.read(path) == RECORD
    assert [file.name for file in tmp_path.iterdir()] == ["last_run.json"]


@pytest.mark.parametrize(
    "content",
    [
        None,  # no run yet
        "",
        "{",  # torn
        RECORD.model_dump_json().replace('"seed"', '"grain"'),  # another release's
        "\xff",
    ],
)
def test_no_record(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "last_run.json"
    if content is not None:
        path.write_text(content, encoding="latin-1")
    assert RunRecord.read(path) is None
