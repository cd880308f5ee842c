"""The proof on the taxi data: all trips, all live features, every store."""

import dataclasses
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from modules.spec import Declaration, load_declaration
from pipeline.ingest.files import find_files
from pipeline.jobs.replay import Disorder, Replayed, replay
from pipeline.stores.urls import list_namespaces
from tests.conftest import ROOT

TRIPS = 15_002
FEATURES = 8
DISORDER = Disorder(shuffle="1h", duplicates=0.1, late=True, seed=11)


def _declaration(*overrides: str) -> Declaration:
    return load_declaration(ROOT / "schema/taxi/features.yaml", overrides)


def _nothing_differs(found: Replayed) -> None:
    assert found.events == {"trips": TRIPS, "payments": TRIPS}
    assert found.features == FEATURES
    assert dataclasses.replace(found, differences=()).mismatches == 0, found.differences
    assert found.never_compared == 0
    assert found.compared >= 2 * found.requests * FEATURES


def test_all_trips_with_every_store(url: str, quick_disk: None) -> None:
    """With a look-back of 30 days, for the sake of time: the declared two days mean 15 times as many pauses."""
    found = replay(_declaration("live.lookback=30d"), {}, None, url, DISORDER)
    _nothing_differs(found)
    assert found.requests == TRIPS
    assert list_namespaces(url) == []


def test_the_look_back_as_declared_for_the_trips_of_two_months(tmp_path: Path, quick_disk: None) -> None:
    declaration = _declaration()
    trips = pa.csv.read_csv(find_files(declaration.data)[0].path)
    start = 1_400_000_000
    times = trips.column("trip_start_timestamp")
    some = trips.filter(pc.and_(pc.greater_equal(times, start), pc.less(times, start + 60 * 86_400)))
    pa.csv.write_csv(some, tmp_path / "requests.csv")
    found = replay(declaration, {}, str(tmp_path / "requests.csv"), None, DISORDER)
    _nothing_differs(found)
    assert found.requests == len(some) > 500
    assert found.pauses > 60
