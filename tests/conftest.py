"""One real run of the whole pipeline on the 15,002 trips, shared by all tests that look at what a run leaves behind."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis
import pytest

ROOT = Path(__file__).parent.parent

hypothesis.settings.register_profile("shared machine", deadline=None)  # a busy core is no bug
hypothesis.settings.load_profile("shared machine")


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
def taxi_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output directory of a run with the repository's own declaration. Look at it, and do not change it."""
    output = tmp_path_factory.mktemp("taxi") / "build"
    run = twinbeam("run", "--set", "evaluation.ablation_seeds=2", "--output", output, "--json")
    assert run.exit_code == 0, run.err
    return output


@pytest.fixture
def output(taxi_run: Path, tmp_path: Path) -> Path:
    """A copy of that directory to change. Its metadata names the artifacts of the original, which stay there."""
    return Path(shutil.copytree(taxi_run, tmp_path / "build"))
