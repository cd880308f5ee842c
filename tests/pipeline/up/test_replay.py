import dataclasses
from typing import Any

import pytest

from modules.spec import Declaration, DeclarationError, load_declaration
from pipeline.sources.recorded import Recorded
from pipeline.sources.urls import open_source
from pipeline.up.replay import Replay, as_text
from tests.artifacts import taxi
from tests.conftest import ROOT
from tests.pipeline.live.rides import payments, rides
from tests.pipeline.up.city import COUNT, City


def test_the_trips_are_replayed_from_where_their_evaluation_part_begins() -> None:
    """That part has 3,001 rows (README), the first of them at that time."""
    replay = Replay.of(taxi(), 21_600.0)
    assert replay.events == {"trips": 3_001, "payments": 3_001}
    assert (replay.since, replay.until) == ("2015-07-06T17:30:00Z", "2016-12-30T16:45:00Z")
    assert str(replay) == "3,001 events from 2015-07-06T17:30:00Z to 2016-12-30T16:45:00Z, in 36 min"


def test_each_source_counts_its_own_events_by_their_ingest_times(city: City) -> None:
    replay = Replay.of(city.declaration, 5.0)
    events = rides(COUNT)
    times = sorted(ride["at"] for ride in events)
    assert replay.start == times[round(COUNT * 0.8)]
    assert replay.events == {
        "rides": sum(ride["taken_in"] >= replay.start for ride in events),
        "payments": sum(payment["taken_in"] >= replay.start for payment in payments(events)),
    }
    assert replay.end == max(ride["taken_in"] for ride in events)  # the last payment comes later


def test_a_stream_gives_the_events_that_are_counted(city: City) -> None:
    declaration: Declaration = city.declaration
    replay = dataclasses.replace(Replay.of(declaration, 5.0), speed=1e9)
    assert declaration.live is not None
    for name, source in declaration.live.sources.items():
        columns = declaration.live.columns(name, declaration.columns)
        opened = open_source(name, replay.url(name), columns, source.time, source.ingest_time)
        assert isinstance(opened, Recorded)
        partition, given = opened.open("files", 0), list[Any]()
        while (batch := partition.poll(1_000)) is not None:
            given += batch.rows["taken_in"].to_pylist()
        assert len(given) == replay.events[name] > 0
        assert all(int(at) >= replay.start for at in given)


def test_a_path_is_quoted_in_the_url(city: City) -> None:
    replay = dataclasses.replace(Replay.of(city.declaration, 5.0), paths={"rides": "/a b/50%?/*.csv"})
    assert replay.url("rides").startswith("file:///a%20b/50%25%3F/*.csv?speed=5.0&since=2014-05-13T")
    opened = open_source("rides", replay.url("rides"), {}, "at", None)
    assert isinstance(opened, Recorded)
    assert (opened.path, opened.options.speed, opened.options.since) == ("/a b/50%?/*.csv", 5.0, replay.start)


def test_rows_that_are_split_by_hash_give_the_same_share_by_time() -> None:
    by_hash = load_declaration(
        ROOT / "schema/taxi/features.yaml", ["split={by: hash, key: company, validation: 0.1, eval: 0.2}"]
    )
    assert Replay.of(by_hash, 1.0).start == Replay.of(taxi(), 1.0).start


def test_without_live_features_there_is_nothing_to_replay() -> None:
    with pytest.raises(DeclarationError, match=r"taxi has no live features, so there is nothing .* Declare some in a"):
        Replay.of(load_declaration(ROOT / "schema/taxi/features.yaml", ["live=null", "evaluation.ablation_seeds=0"]), 1)


def test_times() -> None:
    assert as_text(1_456_790_400_000_001) == "2016-03-01T00:00:00.000001Z"
