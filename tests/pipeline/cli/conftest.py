"""Small datasets to run the command on: fresh, or with a model pushed."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import Run, made_once
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
def trained(pytestconfig: pytest.Config) -> Trained:
    """One real run in a process of its own. Look at it, and do not change it."""

    def make(directory: Path) -> None:
        run = finish(Trips.make(directory).start("run"))
        assert run.exit_code == 0, run.err
        (directory / "run.json").write_text(json.dumps(dataclasses.asdict(run)))

    directory = made_once(pytestconfig, "two words", make)
    return Trained(Trips.at(directory), Run(**json.loads((directory / "run.json").read_text())))


@pytest.fixture
def again(trained: Trained, tmp_path: Path) -> Trips:
    """The same dataset with a copy of the output directory to change; components still find their last outputs."""
    output = Path(shutil.copytree(trained.trips.output, tmp_path / "build"))
    return dataclasses.replace(trained.trips, output=output)
