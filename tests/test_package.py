"""The package that people and Beam's workers install: the code and the schemas, and no dependencies."""

import os
import shutil
import subprocess
import sys
import tarfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`setup.py sdist`, as Beam calls it for `--setup_file`, in a copy of the repository."""
    kept = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    checkout = Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("package") / "checkout", ignore=kept))
    subprocess.run([sys.executable, "setup.py", "-q", "sdist", "--dist-dir", "out"], cwd=checkout, check=True)
    [archive] = (checkout / "out").iterdir()
    return archive


def test_the_sdist_holds_the_code_and_the_schemas(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        [info] = [name for name in archive.getnames() if name.endswith("PKG-INFO") and "egg-info" not in name]
        metadata = HeaderParser().parsestr(archive.extractfile(info).read().decode())  # type: ignore[union-attr]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    wanted = [name for name in tracked if name.split("/")[0] in ("modules", "pipeline", "schema")]
    assert len(wanted) > 50
    assert [name for name in wanted if name not in names] == []
    assert not {name for name in names if name.startswith(("tests/", "benchmarks/"))}
    assert metadata["Name"] == "twinbeam"
    assert metadata.get_all("Requires-Dist") is None  # workers have them from their image


def test_the_installed_package_is_whole(sdist: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(sdist)], check=True, cwd=tmp_path)
    assert {path.name for path in target.iterdir() if path.is_dir() and "-" not in path.name} == {
        "bin",
        "modules",
        "pipeline",
        "schema",
    }
    command = [str(target / "bin" / "twinbeam"), "validate", "--features", "site/schema/taxi/features.yaml"]
    env = os.environ | {"PYTHONPATH": str(target)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "site/schema/taxi/features.yaml: valid; 18 columns, 22 features, 8 of them live.\n", (
        done.stderr
    )
