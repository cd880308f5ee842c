"""Requests in files and the scores of each: the right features, rounded once, in the order of the rows."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modules.spec import ROW_ID, DeclarationError
from pipeline.ingest.files import InputFile
from pipeline.ingest.fingerprint import check
from pipeline.ingest.problems import Problem
from pipeline.jobs.backfill import backfill
from pipeline.jobs.read import read
from pipeline.live.place import Place as Rows
from pipeline.prediction import requests as requests_file
from pipeline.prediction import transform
from pipeline.prediction.predict import predict
from pipeline.prediction.requests import read_requests
from pipeline.serving.signature import ScoringModel
from tests.conftest import ROOT
from tests.pipeline.jobs.rides import RIDES, declare, make, values, write
from tests.pipeline.live import filled
from tests.pipeline.live.rides import SECOND, rides
from tests.pipeline.prediction.conftest import OVERRIDES, Place, asked
from tests.pipeline.prediction.small_model import expected, export_sum

SUFFIXES = ("csv", "parquet", "jsonl")
LABELS = ("tip", "big")
PLAIN = RIDES[: RIDES.index("live:")] + RIDES[RIDES.index("label:") :]


def table(output: Path) -> pa.Table:
    """The rows of an output, in the order of its files."""
    return pa.concat_tables([pq.read_table(path) for path in sorted(output.iterdir())])


def without(rows: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_live_features_are_computed_as_of_each_request_and_scored(place: Place, suffix: str) -> None:
    rows = asked(place)
    requests = write(place.directory / f"asked.{suffix}", rows)
    found = predict(place.declaration, place.model, str(requests), place.directory / "out", place.events)
    scored = table(place.directory / "out")
    names = list(place.declaration.live_features)
    oracle = values(place.declaration, place.made, rows)
    assert scored.select(names).to_pylist() == oracle
    assert scored["score"].type == pa.float32()
    assert scored["score"].to_pylist() == expected(
        place.declaration, [row | live for row, live in zip(rows, oracle, strict=True)]
    )
    assert scored.column_names == [*place.declaration.columns, ROW_ID, *names, "score"]
    check("part", scored.schema, place.declaration)
    assert (found.requests, found.scored, found.too_old, found.incomplete) == (len(rows), len(rows), 0, 0)
    assert found.events["rides"] == len(place.made.rides)
    assert [told.split(":")[0] for told in found.not_counted] != []  # payments that were late, by reason
    backfill(place.declaration, place.events, str(requests), place.directory / "backfill")
    assert scored.drop_columns("score").equals(table(place.directory / "backfill"))  # the ids too


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nobody_needs_to_know_the_label_or_what_is_ignored(place: Place, suffix: str) -> None:
    rows = asked(place)
    for absent in (("note", *LABELS), ("big",), ()):
        path = write(place.directory / f"asked.{suffix}", without(rows, *absent))
        problems: list[Problem] = []
        [found] = read_requests(place.declaration, InputFile(str(path), suffix), problems)
        given = found.drop_columns(["at", ROW_ID]).to_pylist()
        assert given == without([row | dict.fromkeys(absent) for row in rows], "at")
        assert problems == []


def test_a_label_that_only_a_late_json_line_has(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_file, "_BLOCK_BYTES", 200)  # a few lines
    rows = asked(place)
    lines = write(place.directory / "none.jsonl", without(rows, "tip")).read_text()
    last = write(place.directory / "last.jsonl", rows[-1:]).read_text()
    path = place.directory / "asked.jsonl"
    path.write_text(lines + last)
    [found] = read_requests(place.declaration, InputFile(str(path), "jsonl"), [])
    assert found["tip"].to_pylist() == [None] * len(rows) + [rows[-1]["tip"]]


def test_a_label_that_is_left_out_changes_no_score(place: Place) -> None:
    rows = asked(place)
    whole = write(place.directory / "whole.parquet", rows)
    less = write(place.directory / "less.jsonl", without(rows, "note", *LABELS))
    predict(place.declaration, place.model, str(whole), place.directory / "a", place.events)
    predict(place.declaration, place.model, str(less), place.directory / "b", place.events, batch_rows=7)
    scored = table(place.directory / "b")
    rest = [name for name in scored.column_names if name not in (*LABELS, "note", ROW_ID)]
    assert scored.select(rest).equals(table(place.directory / "a").select(rest))
    assert scored["tip"].null_count == len(rows)


def test_the_model_is_loaded_once_and_gets_no_more_rows_than_it_may(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    loads: list[str] = []
    made, score = ScoringModel.__init__, ScoringModel.score

    def load(self: ScoringModel, directory: str) -> None:
        loads.append(directory)
        made(self, directory)

    def noted(self: ScoringModel, features: dict[str, pa.Array]) -> Any:
        sizes.append(len(features["fare"]))
        return score(self, features)

    monkeypatch.setattr(ScoringModel, "__init__", load)
    monkeypatch.setattr(ScoringModel, "score", noted)
    for number in range(3):
        write(place.directory / "asked" / f"{number}.csv", asked(place))
    requests = str(place.directory / "asked")
    predict(place.declaration, place.model, requests, place.directory / "out", place.events, batch_rows=16)
    assert sizes == [16, 16, 10] * 3
    assert loads == [str(place.model)]


def test_files_and_batches_keep_their_order(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transform, "_BATCH_ROWS", 9)
    rows = asked(place)
    parts = [rows[:20], rows[20:21], rows[21:]]
    for number, part in enumerate(parts):
        write(place.directory / "asked" / f"{number}.{SUFFIXES[number]}", part)
    (place.directory / "asked" / "0a.csv").write_text(",".join(rows[0]) + "\n")  # of which none is a request
    predict(place.declaration, place.model, str(place.directory / "asked"), place.directory / "out", place.events)
    assert table(place.directory / "out")["at"].cast(pa.int64()).to_pylist() == [row["at"] * SECOND for row in rows]
    assert len(list((place.directory / "out").iterdir())) == 3 + 1 + 3


def test_without_events_it_is_the_declared_history(place: Place) -> None:
    requests = write(place.directory / "asked.csv", asked(place))
    history = [f"data={place.events['rides'][0]}", f"live.sources.payments.batch={place.events['payments'][0]}"]
    declared = declare(place.directory, *OVERRIDES, *history)
    predict(declared, place.model, str(requests), place.directory / "declared")
    predict(place.declaration, place.model, str(requests), place.directory / "named", place.events)
    assert table(place.directory / "declared").equals(table(place.directory / "named"))


STREAMED = rides(300)
END = STREAMED[-1]["taken_in"]
ASKED = [
    *({**event, "at": END + n * SECOND, "good": n % 2} for n, event in enumerate(STREAMED[:40])),
    {**STREAMED[0], "at": END, "rider": 999, "good": 0},
    {**STREAMED[0], "at": END, "rider": None, "good": 0},
    {**STREAMED[0], "at": STREAMED[0]["at"], "good": 0},
    {**STREAMED[1], "at": END - 30 * SECOND, "good": 0, "amount": 0.1},
]


def test_live_features_are_read_from_a_store(tmp_path: Path, live_model: Path, quick_disk: None) -> None:
    declaration = filled.declare(tmp_path)
    store = f"sqlite://{tmp_path}/live.db"
    filled.fill(declaration, Rows(store, declaration.features_fingerprint), {"rides": STREAMED})
    requests = write(tmp_path / "requests.jsonl", without(ASKED, "good"))
    found = predict(declaration, live_model, str(requests), tmp_path / "out", store=store, batch_rows=8)
    scored = table(tmp_path / "out")
    read(declaration, store, str(write(tmp_path / "whole.jsonl", ASKED)), tmp_path / "read.parquet")
    looked_up = pq.read_table(tmp_path / "read.parquet")
    rest = [name for name in looked_up.column_names if name not in ("good", ROW_ID)]
    assert scored.select(rest).equals(looked_up.select(rest))
    old = [
        any(row[f"{name}_status"] == "too old" for name in declaration.live_features) for row in looked_up.to_pylist()
    ]
    answered = [row for row, refused in zip(scored.to_pylist(), old, strict=True) if not refused]
    assert 0 < sum(old) < len(ASKED)
    assert [row["score"] is None for row in scored.to_pylist()] == old
    assert [row["score"] for row in answered] == expected(declaration, answered)
    assert (found.requests, found.scored, found.too_old) == (len(ASKED), len(answered), sum(old))
    whole = [all(row[f"{name}_complete"] for name in declaration.live_features) for row in answered]
    assert found.incomplete == len(answered) - sum(whole)
    assert found.incomplete > 0
    assert {row["rides_5m_status"] for row in answered} >= {"known", "unknown"}
    check("part", scored.schema, declaration)


def test_a_complete_row_has_the_score_that_the_events_give(tmp_path: Path, live_model: Path, quick_disk: None) -> None:
    declaration = filled.declare(tmp_path)
    store = f"sqlite://{tmp_path}/live.db"
    counted = [{**event, "taken_in": event["at"]} for event in sorted(STREAMED, key=lambda event: event["at"])]
    paid = [{**{name: event[name] for name in ("at", "taken_in", "ride", "area")}, "tip": 1.5} for event in counted]
    history = {"rides": counted, "payments": paid}
    place = Rows(store, declaration.features_fingerprint)
    filled.fill(declaration, place, history)
    for source in history:
        filled.advance(place, source, END + 600 * SECOND)
    for source, rows in history.items():
        write(tmp_path / f"{source}.jsonl", [{**row, "good": 0} for row in rows])
    # All that counts is in a minute later, and a minute after that nobody is answered any more.
    asked_for = [{**row, "at": END + (600 - 65 - n) * SECOND} for n, row in enumerate(ASKED[:30])]
    requests = str(write(tmp_path / "asked.jsonl", asked_for))
    events = {source: [str(tmp_path / f"{source}.jsonl")] for source in history}
    found = predict(declaration, live_model, requests, tmp_path / "read", store=store)
    predict(declaration, live_model, requests, tmp_path / "computed", events)
    computed = table(tmp_path / "computed")
    assert (found.scored, found.incomplete) == (30, 0)
    assert table(tmp_path / "read").select(computed.column_names).equals(computed)
    assert len(set(computed["score"].to_pylist())) > 10


def test_the_batch_changes_no_bit(tmp_path: Path) -> None:
    declaration = declare(tmp_path, *OVERRIDES, text=PLAIN)
    model = export_sum(declaration, tmp_path / "model")
    requests = str(write(tmp_path / "asked.parquet", make(1).rides))
    scores = []
    for batch_rows in (1, 7, 149, 150, 1024):
        predict(declaration, model, requests, tmp_path / f"{batch_rows}", batch_rows=batch_rows)
        scores.append(table(tmp_path / f"{batch_rows}"))
    assert all(each.equals(scores[0]) for each in scores)


def test_without_live_features(tmp_path: Path) -> None:
    declaration = declare(tmp_path, *OVERRIDES, text=PLAIN)
    model = export_sum(declaration, tmp_path / "model")
    rows = [{"at": 1_400_000_000, "cab": None, "zone": "ring", "fare": 0.1, "note": None, "tip": None, "big": None}]
    found = predict(declaration, model, str(write(tmp_path / "asked.jsonl", rows)), tmp_path / "out")
    [row] = table(tmp_path / "out").to_pylist()
    assert row["score"] == np.float32(4 * 1 + float(np.float32(0.1)) * 2)
    assert (found.requests, found.scored, found.events, found.not_counted) == (1, 1, {}, ())
    for more in ({"events": {"rides": ["a.csv"]}}, {"store": "sqlite://a.db"}):
        with pytest.raises(DeclarationError, match=r"no live features to look up. Leave out --events and --store"):
            predict(declaration, model, str(tmp_path / "asked.jsonl"), tmp_path / "again", **more)


_MEASURED = """
import resource, sys
from pathlib import Path
from modules.spec import load_declaration
from pipeline.prediction.predict import predict
declaration = load_declaration(Path("features.yaml"), sys.argv[1:])
for rows in ("few", "many"):
    predict(declaration, Path("model"), rows + ".parquet", Path(rows + ".out"))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    declaration = declare(tmp_path, *OVERRIDES, text=PLAIN)
    export_sum(declaration, tmp_path / "model")
    sizes = []
    for name, rows in (("few", 100_000), ("many", 700_000)):
        some = pa.table({
            "at": pa.array(1_400_000_000 + np.arange(rows)), "cab": np.arange(rows), "fare": np.arange(rows) / 3,
            "zone": pa.array(np.arange(rows)).cast(pa.string()), "note": pa.array(["n" * 40] * rows),
        })  # fmt: skip
        pq.write_table(some, tmp_path / f"{name}.parquet", row_group_size=50_000)
        sizes.append(some.nbytes)
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *OVERRIDES],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sum(pq.read_metadata(path).num_rows for path in (tmp_path / "many.out").iterdir()) == 700_000
    few, many = map(int, done.stdout.split())
    assert many - few < (sizes[1] - sizes[0]) / 2
