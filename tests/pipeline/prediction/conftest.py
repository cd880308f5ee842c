"""Rides with a model, exported once."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from modules.spec import Declaration
from tests.pipeline.jobs import rides
from tests.pipeline.jobs.conftest import quick_disk
from tests.pipeline.live import filled
from tests.pipeline.prediction.small_model import export_sum

__all__ = ["quick_disk"]

OVERRIDES = (
    "columns.zone={type: string, role: feature, transform: {name: hash, buckets: 9}, missing: own_category}",
    "columns.fare.missing=mean",
)


@dataclasses.dataclass(frozen=True)
class Place:
    """A dataset on disk: events, and a model."""

    directory: Path
    declaration: Declaration
    model: Path
    made: rides.Made

    @property
    def events(self) -> dict[str, list[str]]:
        return {name: [str(self.directory / f"{name}.parquet")] for name in ("rides", "payments")}

    def left(self) -> set[str]:
        """What is there beside the data, hidden things too."""
        return {path.name for path in self.directory.iterdir() if path.suffix not in (".parquet", ".yaml", ".jsonl")}


@pytest.fixture(scope="session")
def rides_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of the rides. Look at it, and do not change it."""
    directory = tmp_path_factory.mktemp("rides")
    return export_sum(rides.declare(directory, *OVERRIDES), directory / "1")


@pytest.fixture(scope="session")
def live_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of the rides that fill a store. Look at it, and do not change it."""
    directory = tmp_path_factory.mktemp("live")
    return export_sum(filled.declare(directory), directory / "1")


@pytest.fixture
def place(tmp_path: Path, rides_model: Path) -> Place:
    made = rides.make(1)
    rides.write(tmp_path / "rides.parquet", made.rides)
    rides.write(tmp_path / "payments.parquet", made.payments)
    return Place(tmp_path, rides.declare(tmp_path, *OVERRIDES), rides_model, made)


def asked(place: Place) -> list[dict[str, Any]]:
    """Requests that are none of the events: of known cabs and of one that is not, with numbers that float32 rounds."""
    rows = [dict(row) for row in rides.make(3, rides=40).rides]
    return [*rows, {**rows[0], "cab": 987_654, "fare": 0.1}, {**rows[1], "fare": None, "zone": None}]
