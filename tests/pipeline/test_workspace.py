import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from modules.spec import BusyError, OutputError
from pipeline.workspace import Workspace
from tests.conftest import ROOT

HOLD = """
import sys
from pathlib import Path
from pipeline.workspace import Workspace
with Workspace(Path(sys.argv[1])).hold():
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(output: Path) -> subprocess.Popen[str]:
    """Another process that holds the directory until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, output], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_all_names_are_below_the_output_directory(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    names = [workspace.artifacts, workspace.metadata, workspace.logs, workspace.report, workspace.record]
    assert len(set(names)) == 5
    assert all(name.parent == tmp_path for name in names)
    assert workspace.serving("taxi") == tmp_path / "serving_model" / "taxi"


def test_holding_makes_the_directory_and_can_be_repeated(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "a" / "b")
    for _ in range(2):
        with workspace.hold():
            assert workspace.logs.is_dir()


def test_a_directory_that_another_process_holds_is_busy(tmp_path: Path) -> None:
    with (
        holder(tmp_path) as process,
        pytest.raises(BusyError, match=r"another run is writing here\. Wait for it, or give this one --output DIR\.$"),
        Workspace(tmp_path).hold(),
    ):
        pass
    assert process.wait() == 0
    with Workspace(tmp_path).hold():  # free once it has ended
        pass


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    process = holder(tmp_path)
    process.kill()
    process.communicate()
    with Workspace(tmp_path).hold():
        pass


def test_it_is_held_until_the_end_and_freed_by_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Workspace(tmp_path).hold():  # noqa: PT012 (both are what is tested)
        with pytest.raises(BusyError), Workspace(tmp_path).hold():
            pass
        raise KeyError
    with Workspace(tmp_path).hold():
        pass


@pytest.mark.parametrize(
    ("blocked", "reason"),
    [
        ("", "(Not a directory|File exists)"),  # the output is a file
        ("logs", "File exists"),
    ],
)
def test_a_directory_that_cannot_be_made(tmp_path: Path, blocked: str, reason: str) -> None:
    output = tmp_path / "output"
    (output / blocked).parent.mkdir(exist_ok=True)
    (output / blocked).write_text("in the way")
    with (
        pytest.raises(
            OutputError, match=rf"output: cannot be written: {reason}\. Name a directory with --output DIR\.$"
        ),
        Workspace(output).hold(),
    ):
        pass


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with pytest.raises(OutputError, match=r"cannot be written: Is a directory\."), Workspace(tmp_path).hold():
        pass


def test_what_libraries_write_for_themselves_is_below_it_too_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    left = tmp_path / "build" / "tmp" / "left by a killed run"
    left.mkdir(parents=True)
    with Workspace(tmp_path / "build").hold():
        assert not left.exists()
        assert Path(tempfile.mkdtemp()).parent == tmp_path / "build" / "tmp" == Path(os.environ["KERAS_HOME"])
    assert not left.parent.exists()
    assert os.environ["TMPDIR"] == tempfile.gettempdir() == str(tmp_path)
    assert "KERAS_HOME" not in os.environ
