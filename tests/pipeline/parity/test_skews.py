"""What the gate notices: in turn one side of serving does not do what training did, and the right check says where."""

import dataclasses
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

import pipeline.parity.defaults as defaults_check
import pipeline.parity.live as live_check
import pipeline.parity.transformed as transformed_check
from modules.kernel import answer, plan
from modules.kernel.keys import code_keys
from modules.kernel.rounding import to_example
from modules.spec.instant import read_instant
from pipeline.jobs.backfill import backfill
from pipeline.live import reader
from pipeline.live.place import Place
from pipeline.live.reader import FeatureReader, Status
from pipeline.parity.budget import budget
from pipeline.parity.check import Check
from pipeline.parity.defaults import defaults
from pipeline.parity.exported import Exported, named_inputs
from pipeline.parity.freshness import freshness
from pipeline.parity.kept import kept
from pipeline.parity.live import live_features
from pipeline.parity.scores import scores
from pipeline.parity.seen import seen
from pipeline.parity.server import Server, serving
from pipeline.parity.transformed import transformed_features
from pipeline.serving.inputs import model_inputs
from pipeline.serving.model_server import json_text
from pipeline.stores.sqlite import SqliteStore
from tests.artifacts import taxi
from tests.pipeline.jobs.test_replay_finds import BROKEN, _float_sums, _verdict, _Windows
from tests.pipeline.parity.conftest import Scene, Streams

Planting = Callable[[pytest.MonkeyPatch], None]


class _SameTickSeen(_Windows):
    def edges(self, slots: np.ndarray) -> np.ndarray:
        start, stop = super().edges(slots)
        return np.stack([start, np.where((self.delay == 900) & (self.edge == 1), slots + 1, stop)])


def _same_tick_seen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(plan, "Windows", _SameTickSeen)


def _float32_answers(patch: pytest.MonkeyPatch) -> None:
    read = FeatureReader.read

    def narrow(self: FeatureReader, columns: Any, times: np.ndarray) -> Any:
        return {
            name: each._replace(values=each.values.astype(np.float32).astype(each.values.dtype))
            for name, each in read(self, columns, times).items()
        }

    patch.setattr(FeatureReader, "read", narrow)


def _stale_rows(patch: pytest.MonkeyPatch) -> None:
    fetch = SqliteStore.fetch
    first: dict[Any, Any] = {}

    def stale(self: SqliteStore, rows: Any) -> Any:
        found = fetch(self, rows)
        kept = [parts and first.setdefault(key, parts) for key, parts in zip(rows, found.rows, strict=True)]
        return dataclasses.replace(found, rows=kept)

    patch.setattr(SqliteStore, "fetch", stale)


STREAM: dict[str, tuple[Planting, str]] = {
    "the edge at the request is closed, not open": (
        BROKEN["the edge at the request is closed, not open"], "area_trips_6h",
    ),
    "the far edge is open, not closed": (BROKEN["the far edge is open, not closed"], "company_trips_7d"),
    "an event of the same tick is seen": (_same_tick_seen, "area_trips_6h"),
    "a label leaks through a delay that is not honoured": (
        BROKEN["a label is seen before its delay"], "area_tip_share_7d",
    ),
    "the store answers in float32": (_float32_answers, "company_tip_share_30d"),
    "sums are floats, added in the order of arrival": (_float_sums(100), "area_tip_share_30d"),
    "late events are dropped": (_verdict(-240_000_000, 0), "area_trips_6h"),
    "duplicates are counted": (BROKEN["nothing is deduplicated"], "area_trips_7d"),
    "a row in the store is stale": (_stale_rows, "area_trips_1d"),
    "a null key is a key": (BROKEN["a null key is a key"], "company_trips_7d"),
    "the store loses the older part of a row": (
        BROKEN["the store loses the older part of a row"], "area_companies_30d",
    ),
}  # fmt: skip
"""Skews of the stream's side, each with a feature that is among those that it changes."""


@pytest.mark.parametrize("skew", STREAM)
def test_a_skew_of_the_stream(streamed: Streams, monkeypatch: pytest.MonkeyPatch, skew: str) -> None:
    plant, feature = STREAM[skew]
    with monkeypatch.context() as patch:
        plant(patch)
        check = streamed()
    assert not check.passed
    assert check.differing > 0
    assert f"{feature} (" in check.sentence
    assert "rounded once, beside the examples: 1,600 values of 200 rows compared, none differs." in check.sentence
    assert all(each.expected_bits != each.found_bits for each in check.differences)
    for each in check.differences[:3]:
        assert each.expected_events is not None
        assert each.expected_events.events is not None
        assert each.found_events is not None
        request, time = "".join(f"'{k}={v}' " if " " in v else f"{k}={v} " for k, v in each.key.items()), each.time
        assert each.explain.startswith(f"twinbeam explain {each.feature} {request}".replace("=None", "="))
        assert read_instant(each.explain.split()[-1]) == time
    assert all(each.expected_events is None for each in check.differences[3:])


def test_what_each_side_counted(streamed: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row lacks what it should have; of a row that holds all, something else is read."""

    def far(check: Check) -> list[float]:
        """How much earlier the row's first cell starts than the events; less than anything where it holds none."""
        found = []
        for each in check.differences[:3]:
            assert each.expected_events is not None
            assert each.found_events is not None
            first, cell = each.expected_events.first, each.found_events.first
            found.append(0 if first is None and cell is None else -math.inf if cell is None else (first or 0) - cell)
        return found

    with monkeypatch.context() as patch:
        BROKEN["the store loses the older part of a row"](patch)
        assert all(earlier < 0 for earlier in far(streamed()))
    with monkeypatch.context() as patch:
        _float32_answers(patch)
        assert all(0 <= earlier < 86_400_000_000 for earlier in far(streamed(seed=2)))


def _own_event_twice(patch: pytest.MonkeyPatch) -> None:
    own = answer._own

    def twice(entity: Any, requests: Any) -> np.ndarray | None:
        found = own(entity, requests)
        if found is not None:
            found[entity.layout[next(iter(entity.layout))]["count"]] *= 2
        return found

    patch.setattr(answer, "_own", twice)


def test_the_own_event_is_counted_twice(
    scene: Scene, tmp_path: Path, quick_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a feature that is declared otherwise than the trips' own, none of which includes the request."""
    monkeypatch.setattr(live_check, "_MOST_PAUSES", 12)
    name = "area_trips_6h"
    changes = [f"live.features.{name}.{each}" for each in ("delay=0s", "include_request=true")]
    declaration, events = taxi("gate.rows=200", *changes), scene.events(tmp_path)
    path = events[0][1].path
    backfill(declaration, {source: [path] for source in ("trips", "payments")}, path, tmp_path / "values")
    before = kept(declaration, scene.sample, tmp_path / "values")
    example = pa.array(to_example(before.table.column(name).to_numpy()))
    rows = dataclasses.replace(scene.sample, columns={**scene.sample.columns, name: example})

    def streamed(directory: Path) -> Check:
        directory.mkdir()
        place = Place(f"sqlite://{directory}/rows.db", "rows")
        return live_features(declaration, rows, before, events, place, directory)

    right = streamed(tmp_path / "right")
    assert right.passed, right.sentence
    _own_event_twice(monkeypatch)
    check = streamed(tmp_path / "wrong")
    assert not check.passed
    assert {each.feature for each in check.differences} == {name}


def test_the_stream_counts_in_another_time_zone(streamed: Streams) -> None:
    check = streamed(shifted_s=3600)
    assert not check.passed
    assert "area_trips_6h (" in check.sentence


def test_a_default_differs(streamed: Streams) -> None:
    """A default is in no fingerprint of the store, and no window has to be looked at to be wrong."""
    other = taxi("gate.rows=200", "live.features.company_tip_share_30d.default=0.1")
    check = streamed(declaration=other)
    assert not check.passed
    assert {each.feature for each in check.differences} == {"company_tip_share_30d"}
    assert {(each.expected, each.found) for each in check.differences} == {("0.09", "0.1")}


def test_the_examples_were_rounded_otherwise(scene: Scene, streamed: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(values: np.ndarray) -> np.ndarray:
        near = values if values.dtype == np.int64 else values.astype(np.float32)
        return np.where(near > values, np.nextafter(near, np.float32(-1)), near).astype(near.dtype)

    monkeypatch.setattr(live_check, "to_example", down)
    check = streamed()
    assert not check.passed
    assert "none differs; rounded once" in check.sentence
    assert "company_tip_share_30d as an example (" in check.sentence


def test_one_bit_of_one_example(scene: Scene, streamed: Streams) -> None:
    name = "area_tip_share_30d"
    values = scene.sample.columns[name].to_numpy(zero_copy_only=False).copy()
    values[7] = np.nextafter(values[7], np.float32(1))
    altered = dataclasses.replace(scene.sample, columns={**scene.sample.columns, name: pa.array(values)})
    check = streamed(rows=altered)
    assert (check.passed, check.differing) == (False, 1)
    [difference] = check.differences
    assert difference.feature == f"{name} as an example"
    assert difference.key == {"row_id": scene.sample.ids[7].as_py().decode()}
    assert difference.time == scene.sample.time(7)
    assert int(difference.found_bits, 16) - int(difference.expected_bits, 16) == 1
    assert difference.explain.startswith(f"twinbeam explain {name} pickup_community_area=")


def test_a_row_that_the_backfill_does_not_have(scene: Scene, streamed: Streams) -> None:
    ids = pa.array([b"nobody", *scene.sample.ids.to_pylist()[1:]], pa.large_binary())
    check = streamed(rows=dataclasses.replace(scene.sample, ids=ids))
    assert not check.passed
    assert check.differing == 0
    assert "1 rows are missing" in check.sentence


def _copy(scene: Scene, directory: Path) -> Path:
    return Path(shutil.copytree(scene.material.model, directory / "model"))


def test_a_vocabulary_is_off_by_one(scene: Scene, tmp_path: Path) -> None:
    copy = _copy(scene, tmp_path)
    vocabulary = copy / "assets" / "payment_type_vocabulary"
    vocabulary.write_text("Nobody pays so\n" + vocabulary.read_text())
    check = transformed_features(scene.declaration, scene.sample, scene.material.transformed, Exported(copy))
    assert not check.passed
    assert {each.feature for each in check.differences} == {"payment_type"}
    # Rows at a time: 1, 8 and all.
    assert check.differing == 3 * 200


def _fahrenheit(inputs: dict[str, Any]) -> dict[str, Any]:
    return inputs | {"trip_miles": inputs["trip_miles"] * np.float32(1.609344)}


def _null_filled(inputs: dict[str, Any]) -> dict[str, Any]:
    return inputs | {"company_present": np.ones_like(inputs["company_present"])}


@pytest.mark.parametrize(
    ("client", "feature"), [(_fahrenheit, "trip_miles"), (_null_filled, "company")], ids=["unit", "null"]
)
def test_a_step_is_done_in_the_client_only(
    scene: Scene,
    model: Exported,
    monkeypatch: pytest.MonkeyPatch,
    client: Callable[[dict[str, Any]], dict[str, Any]],
    feature: str,
) -> None:
    monkeypatch.setattr(transformed_check, "named_inputs", lambda *given: client(named_inputs(*given)))
    check = transformed_features(scene.declaration, scene.sample, scene.material.transformed, model)
    assert not check.passed
    assert {each.feature for each in check.differences} == {feature}


def _inverted(model: Path, directory: Path) -> Path:
    """A copy of a model of which both scoring signatures give the probability of the other class."""
    loaded = tf.saved_model.load(str(model))
    signatures = dict(loaded.signatures)
    for name in ("serving_default", "serving_examples"):
        right = loaded.signatures[name]

        def wrong(right: Any = right, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"score": 1 - right(**inputs)["score"]}

        specs = right.structured_input_signature[1]
        signatures[name] = tf.function(wrong, autograph=False).get_concrete_function(right, **specs)
    tf.saved_model.save(loaded, str(directory), signatures=signatures)
    return directory


def test_the_signatures_give_the_other_class(scene: Scene, tmp_path: Path) -> None:
    other = _inverted(scene.material.model, tmp_path / "model")
    kept = scene.material.scores, scene.material.score
    with serving(other, "taxi") as server:
        check = scores(scene.declaration, scene.sample, *kept, Exported(other), server)
    assert not check.passed
    for way in ("serving_default", "serving_examples", "serving_default over gRPC", "serving_examples over REST"):
        assert f"score by {way} (200), score by {way}, one by one (200)" in check.sentence
    assert check.differing == 8 * 200


def test_a_server_that_writes_too_few_digits(scene: Scene, model: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is right, and what it says is not what arrives."""
    monkeypatch.setattr(json_text, "floats", lambda values: [f"{value:.6g}" for value in values])
    kept = scene.material.scores, scene.material.score
    with serving(scene.material.model, "taxi") as server:
        check = scores(scene.declaration, scene.sample, *kept, model, server)
    assert not check.passed
    assert check.differing > 100
    assert all("over REST" in each.feature for each in check.differences)


def test_a_label_leaks_through_a_delay_that_neither_side_honours(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stream and backfill agree then: only what is withheld tells."""
    BROKEN["a label is seen before its delay"](monkeypatch)
    events = scene.events(tmp_path)
    path = events[0][1].path
    backfill(scene.declaration, {source: [path] for source in ("trips", "payments")}, path, tmp_path / "leaky")
    before = kept(scene.declaration, scene.sample, tmp_path / "leaky")
    check = freshness(scene.declaration, scene.sample, before, seen(scene.declaration, before, events))
    assert check is not None
    assert not check.passed
    assert before.missing == 0
    assert "area_tip_share_7d (" in check.sentence
    assert "area_trips_6h (" in check.sentence


def _another_default(patch: pytest.MonkeyPatch) -> None:
    read = FeatureReader.read

    def other(self: FeatureReader, columns: Any, times: np.ndarray) -> Any:
        found = read(self, columns, times)
        share = found["company_tip_share_30d"]
        unknown = share.status == Status.UNKNOWN
        return found | {"company_tip_share_30d": share._replace(values=np.where(unknown, 0.9, share.values))}

    patch.setattr(FeatureReader, "read", other)


def _null_read_as_another_key(patch: pytest.MonkeyPatch) -> None:
    def some(columns: Any) -> tuple[np.ndarray, list[bytes]]:
        return code_keys([column.fill_null(column.drop_null()[-1]) for column in columns])

    patch.setattr(reader, "code_keys", some)


def _missing_is_zero(patch: pytest.MonkeyPatch) -> None:
    def present(*given: Any) -> dict[str, Any]:
        inputs = model_inputs(*given)
        return inputs | {name: np.ones_like(v) for name, v in inputs.items() if name.endswith("_present")}

    patch.setattr(defaults_check, "model_inputs", present)


DEFAULTS: dict[str, tuple[Planting, str]] = {
    "an unknown key has another default": (_another_default, "company_tip_share_30d of an unknown key"),
    "a null key is read as another key": (_null_read_as_another_key, "area_trips_7d of a null key"),
    "a missing value is zero": (_missing_is_zero, "trip_seconds of a null feature"),
}
"""Skews of serving where something is missing, each with a feature and a case that are among those found."""


@pytest.mark.parametrize("skew", DEFAULTS)
def test_a_skew_where_something_is_missing(
    scene: Scene, model: Exported, tmp_path: Path, quick_disk: None, monkeypatch: pytest.MonkeyPatch, skew: str
) -> None:
    plant, named = DEFAULTS[skew]
    before = kept(scene.declaration, scene.sample, Path(scene.material.live_values))
    near = seen(scene.declaration, before, scene.events(tmp_path))
    plant(monkeypatch)
    graph = scene.material.transform_graph
    check = defaults(scene.declaration, scene.sample, before, near, graph, model, tmp_path)
    assert check is not None
    assert not check.passed
    assert f"{named} (" in check.sentence
    assert check.sentence.startswith("2,464 values of 16 rows compared")


def test_what_serving_takes_is_measured(server: Server) -> None:
    assert server.load_s > 0
    assert len(server.answers_s) == 3
    assert min(server.answers_s) > 0


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ("load_s=0.000001", "loads over budget: "),
        ("answer_p99_ms=0.001", "answers a row (p99 of 3) over budget: "),
        ("size_mb=0.1", "takes on the disk over budget: "),
        ("memory_mb=0.000001", "takes in memory over budget: "),
    ],
)
def test_a_budget_is_exceeded(
    scene: Scene, server: Server, monkeypatch: pytest.MonkeyPatch, over: str, words: str
) -> None:
    # A busy machine takes any time; and what a process grows by that has loaded the model before may be nothing.
    for name, measured in (("load_s", 2.0), ("answers_s", [0.004] * 3), ("load_bytes", 1_000)):
        monkeypatch.setattr(server, name, measured)
    check = budget(taxi(f"gate.budget.{over}"), scene.material.model, server)
    assert (check.passed, check.compared, check.differing) == (False, 4, 1)
    assert words in check.sentence
    assert budget(taxi(), scene.material.model, server).passed
