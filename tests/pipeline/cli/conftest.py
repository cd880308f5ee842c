"""Small datasets to run the command on: fresh, or with a model pushed."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.pipeline.cli.trips import Trips, finish


@dataclasses.dataclass(frozen=True)
class Trained:
    """A dataset with its first model pushed, and what the run said."""

    trips: Trips
    run: Run


@pytest.fixture
def trips(tmp_path: Path) -> Trips:
    """A dataset that nothing has been run on."""
    return Trips.make(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One real run in a process of its own. Look at it, and do not change it."""
    trips = Trips.make(tmp_path_factory.mktemp("two words"))
    run = finish(trips.start("run"))
    assert run.exit_code == 0, run.err
    return Trained(trips, run)


@pytest.fixture
def again(trained: Trained, tmp_path: Path) -> Trips:
    """The same dataset with a copy of the output directory to change; components still find their last outputs."""
    output = Path(shutil.copytree(trained.trips.output, tmp_path / "build"))
    return dataclasses.replace(trained.trips, output=output)
