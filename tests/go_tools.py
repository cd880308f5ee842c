"""Programs that tests run and that come as Go modules: built once, through the Go proxy."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import ROOT

_BUILT = ROOT / ".tools"
_BUILD_S = 900


def go_tool(module: str, version: str) -> Path:
    """The program that a module makes. Where Go is absent or cannot build it, the test is skipped, and says so."""
    program = _BUILT / module.rpartition("/")[2]
    _BUILT.mkdir(exist_ok=True)
    with FileLock(_BUILT / f".{program.name}.lock"):
        if not program.exists():
            if not (go := shutil.which("go")):
                pytest.skip(f"no go, and so no {program.name}")
            command = [go, "install", "-gcflags=all=-N -l", f"{module}@{version}"]  # not optimised: built faster
            environment = os.environ | {"GOBIN": str(_BUILT), "CGO_ENABLED": "0"}
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=_BUILD_S, check=False
            )
            if done.returncode:
                pytest.skip(f"{' '.join(command[1:])} failed: {done.stderr.strip().splitlines()[-1]}")
    return program


def fake_gcs_server() -> Path:
    """A Google Cloud Storage for tests."""
    return go_tool("github.com/fsouza/fake-gcs-server", "v1.56.1")
