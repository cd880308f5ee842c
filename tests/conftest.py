"""One real run of the whole pipeline on the 15,002 trips, shared by all tests that look at what a run leaves behind."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from filelock import FileLock

from pipeline.orchestration.digests import code_digest, content_digest, digest

ROOT = Path(__file__).parent.parent

hypothesis.settings.register_profile("shared machine", deadline=None)  # a busy core is no bug
hypothesis.settings.load_profile("shared machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One module that makes the taxi run, slow ones meanwhile, those that need the run, and the others at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    needy = [item.path for item in items if "taxi_run" in getattr(item, "fixturenames", ())]
    rank = dict.fromkeys(slow, 1) | dict.fromkeys(needy, 2) | dict.fromkeys(needy[:1], 0)
    items.sort(key=lambda item: rank.get(item.path, 3))


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished command."""

    exit_code: int
    out: str
    err: str

    @property
    def result(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.out)


def twinbeam(*arguments: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> Run:
    """Runs the real command in a process of its own."""
    command = [sys.executable, "-m", "pipeline.cli.main", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | (env or {})
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=600)
    return Run(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def taxi_run(pytestconfig: pytest.Config) -> Path:
    """The output directory of `twinbeam run`, as `make run` leaves it. Look at it, and do not change it."""

    def make(directory: Path) -> None:
        run = twinbeam("run", "--output", directory / "build", "--json")
        assert run.exit_code == 0, run.err

    return made_once(pytestconfig, "taxi", make) / "build"


def made_once(config: pytest.Config, name: str, make: Callable[[Path], None]) -> Path:
    """A directory that is made once for each state of the code, for all processes of the tests and their next call."""
    kept = config.cache.mkdir(name)
    directory, whole = kept / _state_of_the_code()[:16], kept / "whole"
    with FileLock(kept / "lock"):
        if not directory.exists() or not whole.exists():
            whole.unlink(missing_ok=True)
            for old in kept.glob("*/"):
                shutil.rmtree(old)
            directory.mkdir()
            make(directory)
            whole.touch()
    return directory


def _state_of_the_code() -> str:
    files = (path for folder in ("pipeline", "schema", "tests") for path in (ROOT / folder).rglob("*"))
    kept = (path for path in files if path.suffix != ".py" and "__pycache__" not in path.parts)
    texts = sorted(str(path) for path in kept if path.is_file())
    return digest([code_digest(), content_digest(texts)])
