"""Ctrl-C and SIGKILL in the middle of real runs: nothing is pushed, and the next run works and cleans up."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata

from pipeline.serving import versions
from tests.conftest import ROOT
from tests.pipeline.cli.trips import Trips, finish, wait_for

INTERRUPTED, BUSY = 130, 8


@pytest.mark.slow
def test_runs_that_are_stopped_again_and_again(trips: Trips) -> None:
    """Each starts in what the one before it has left; all that was finished is reused."""
    for after, started, stop, exit_code in [
        ("log:", "", signal.SIGINT, INTERRUPTED),  # libraries are being imported
        ("CuratedSchema", "ExampleGen/examples/*", signal.SIGINT, INTERRUPTED),
        ("SchemaGen", "Transform/transform_graph/*", signal.SIGKILL, -signal.SIGKILL),
        ("Transform", "Trainer/model/*", signal.SIGINT, INTERRUPTED),
        ("Baseline", "Evaluator/evaluation/*", signal.SIGINT, INTERRUPTED),
    ]:
        artifacts = trips.output / "artifacts"
        before = set(artifacts.glob(started)) if started else set()
        process = trips.start("run")
        wait_for(process, after)
        while started and process.poll() is None and set(artifacts.glob(started)) == before:
            time.sleep(0.005)
        stopped = finish(process, stop)
        reason = f"{stop.name} after {after}: {stopped}"
        assert stopped.exit_code == exit_code, reason
        assert stopped.err == ("error: interrupted; nothing was pushed.\n" if stop == signal.SIGINT else ""), reason
        assert stopped.out == "", reason  # the component that had started did not end
        assert trips.pushed() == {}, reason
    run = trips.call("run")
    assert run.exit_code == 0, run.err
    assert versions.versions(trips.serving) == [1]
    assert artifacts_on_disk(trips.output) == live_artifacts(trips.output)


def artifacts_on_disk(output: Path) -> set[Path]:
    return {path for path in (output / "artifacts").glob("*/*/*") if path.parent.name != ".system"}


def live_artifacts(output: Path) -> set[Path]:
    """Where ML Metadata says that artifacts are."""
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(str(output / "metadata.db"))) as handle:
        return {
            Path(artifact.uri)
            for artifact in handle.store.get_artifacts()
            if artifact.state == metadata_store_pb2.Artifact.LIVE
        }


@pytest.mark.slow
def test_a_second_run_while_one_is_at_work(trips: Trips) -> None:
    process = trips.start("run")
    wait_for(process, "log:")
    second = trips.call("run")
    assert second.exit_code == BUSY
    assert "another run is writing here" in second.err
    assert finish(process, signal.SIGINT).exit_code == INTERRUPTED


def test_a_command_that_is_interrupted_while_it_starts() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "pipeline.cli", "validate"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        lines = iter(process.stderr.readline, "")
        next(line for line in lines if line.rpartition("|")[2].strip() == "pydantic")
        process.send_signal(signal.SIGINT)
        said = [line for line in lines if not line.startswith("import time:")]
    assert (process.returncode, said) == (INTERRUPTED, ["error: interrupted; nothing was pushed.\n"])


def test_a_push_that_is_interrupted_leaves_nothing(again: Trips, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler would end this process, so that what it leaves is looked at instead."""
    left: list[tuple[int, list[Path]]] = []

    class Ended(BaseException):
        pass

    def end(code: int) -> None:
        left.append((code, list(again.serving.iterdir())))
        raise Ended

    def interrupted(_: int) -> None:
        assert [path.name[:9] for path in again.serving.iterdir()] == [".pushing-"]
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(os, "fsync", interrupted)
    shutil.rmtree(again.serving)
    with pytest.raises(Ended):
        again.call("run")
    assert left == [(INTERRUPTED, [])]
