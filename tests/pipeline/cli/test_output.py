"""An output directory that cannot be written, is full, or is held by another run."""

import contextlib
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.workspace import Workspace
from tests.pipeline.cli.trips import Trips, finish

OUTPUT, BUSY = 7, 8


@contextlib.contextmanager
def small_disk(at: Path, kilobytes: int) -> Iterator[None]:
    """A file system of this size; skips the test where mounting is not permitted."""
    at.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(at)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mount is not permitted: {done.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


@pytest.mark.parametrize(
    ("in_the_way", "message"),
    [
        ("", r"build: cannot be written: Not a directory. Name a directory with --output DIR."),
        ("logs", r"build: cannot be written: File exists. Name a directory with --output DIR."),
        ("artifacts", r"build/artifacts: cannot be written: File exists; nothing was pushed. Make room, or name"),
        ("metadata.db", "build/metadata.db: this is no database that this release of ML Metadata can open. Remove it"),
    ],
)
def test_a_file_in_the_way(trips: Trips, in_the_way: str, message: str) -> None:
    path = trips.output / in_the_way
    path.parent.mkdir(exist_ok=True)
    path.write_text("in the way" * 1000)
    run = trips.call("run")
    assert message in run.err
    assert run.exit_code == OUTPUT
    assert path.read_text() == "in the way" * 1000
    assert trips.pushed() == {}


@pytest.mark.parametrize(
    "kilobytes",
    [
        4,  # not even ML Metadata has room
        420,  # the examples have room, and their statistics have none
    ],
)
def test_a_full_disk(trips: Trips, tmp_path: Path, kilobytes: int) -> None:
    with small_disk(tmp_path / "disk", kilobytes):
        output = tmp_path / "disk" / "build"
        run = trips.call("run", "--output", output)
        assert run.err == (
            f"error: {output}: the disk is full; nothing was pushed. Make room, or name another --output DIR.\n"
        )
        assert run.exit_code == OUTPUT
        assert not list(output.glob("serving_model/*/*"))
        assert not (output / "report.html").exists()
        assert not (output / "last_run.json").exists()


@pytest.mark.slow
def test_a_file_that_may_not_grow(trips: Trips) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000))

    run = finish(trips.start("run", preexec_fn=limit))
    assert run.err == (
        f"error: {trips.output}: the disk is full; nothing was pushed. Make room, or name another --output DIR.\n"
    )
    assert run.exit_code == OUTPUT
    assert trips.pushed() == {}


def test_a_full_disk_after_the_push_does_not_say_that_nothing_was_pushed(
    again: Trips, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.report import report

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "write_report", full)
    for version in again.serving.iterdir():
        version.rename(again.output / "elsewhere")
    run = again.call("run")
    assert "the disk is full; version 1 had been pushed already. Make room" in run.err
    assert run.exit_code == OUTPUT


def test_the_curated_schema_survives_a_full_disk(trips: Trips, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4):
        full = Trips(tmp_path / "disk", trips.output)
        full.features.symlink_to(trips.features)
        full.schema.symlink_to(trips.schema)
        with contextlib.suppress(OSError):
            (tmp_path / "disk" / "filler").write_bytes(b"x" * 10_000)
        before = full.schema.read_text()
        trips.edit_all(payment_type="Barter")
        run = full.call("schema accept", "--data", trips.data)
        assert "schema.pbtxt: cannot be written: No space left on device. It is as it was." in run.err
        assert run.exit_code == OUTPUT
        assert full.schema.read_text() == before
        assert {path.name for path in full.directory.iterdir()} == {"features.yaml", "schema.pbtxt", "filler"}


@pytest.mark.parametrize("command", ["run", "schema accept", "rollback"])
def test_another_run_in_the_same_directory(trips: Trips, command: str) -> None:
    (trips.serving / "1").mkdir(parents=True)
    with Workspace(trips.output).hold():
        run = trips.call(command)
    assert "build: another run is writing here. Wait for it, or give this one --output DIR." in run.err
    assert run.exit_code == BUSY


def test_a_run_that_fails_lets_the_next_one_in(trips: Trips) -> None:
    trips.data.unlink()
    assert [trips.call("run").exit_code for _ in range(2)] == [4, 4]  # and not 8 the second time
