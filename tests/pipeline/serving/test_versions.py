import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from modules.spec import NotFoundError
from pipeline.serving.versions import newest, one, push, remove_old, rollback, versions
from tests.conftest import ROOT

FILES = 300
PUSH = """
import sys
from pathlib import Path
from pipeline.serving.versions import push
print(push(Path(sys.argv[1]), Path(sys.argv[2])))
"""


def model(directory: Path, text: str = "weights", files: int = 3) -> Path:
    """A directory with files in it, one of them deeper."""
    (directory / "variables").mkdir(parents=True)
    for number in range(files):
        (directory / "variables" / f"{number}").write_text(text)
    (directory / "saved_model.pb").write_text(text)
    return directory


def content(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def pushing(source: Path, base: Path) -> subprocess.Popen[str]:
    """A push in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", PUSH, source, base], cwd=ROOT, text=True, stdout=subprocess.PIPE)


def test_versions_count_from_one(tmp_path: Path) -> None:
    source, base = model(tmp_path / "model"), tmp_path / "not" / "yet" / "there"
    assert versions(base) == []
    assert [push(source, base), push(source, base)] == [1, 2]
    assert versions(base) == [1, 2]
    assert newest(base) == base / "2"
    assert one(base, 1) == base / "1"
    assert content(base / "2") == content(source)
    assert sorted(path.name for path in base.iterdir()) == ["1", "2"]  # nothing hidden stays


@pytest.mark.parametrize(
    ("names", "found", "pushed"),
    [
        (["9", "10"], [9, 10], 11),  # numbers, not text
        (["0"], [0], 1),
        (["1", "7"], [1, 7], 8),  # a gap is never filled: 8 is newer than 7
        (["1", "007", "-3", "2.0", "٣", "tmp", ".pushing-x"], [1], 2),  # not how a version is written
    ],
)
def test_what_counts_as_a_version(tmp_path: Path, names: list[str], found: list[int], pushed: int) -> None:
    for name in names:
        (tmp_path / "base" / name).mkdir(parents=True)
    assert versions(tmp_path / "base") == found
    assert push(model(tmp_path / "model"), tmp_path / "base") == pushed


def test_a_file_is_no_version_and_is_not_overwritten(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "1").write_text("mine")
    assert versions(base) == []
    assert push(model(tmp_path / "model"), base) == 2
    assert (base / "1").read_text() == "mine"


@pytest.mark.parametrize("found", ["none", "1, 2"])
def test_a_version_that_is_not_there(tmp_path: Path, found: str) -> None:
    for name in found.split(", ") if found != "none" else []:
        (tmp_path / name).mkdir()
    with pytest.raises(NotFoundError, match=rf"there is no version 7; found {found}\.$"):
        one(tmp_path, 7)
    with pytest.raises(NotFoundError, match=rf"there is no version 7; found {found}\.$"):
        rollback(tmp_path, 7)


def test_nothing_pushed_yet(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no model has been pushed here\. Train one with `twinbeam run`\.$"):
        newest(tmp_path)


def test_files_can_be_added_before_the_version_appears(tmp_path: Path) -> None:
    base = tmp_path / "base"

    def complete(copy: Path) -> None:
        assert versions(base) == []
        (copy / "provenance.json").write_text("{}")

    push(model(tmp_path / "model"), base, complete)
    assert (base / "1" / "provenance.json").read_text() == "{}"
    assert not (tmp_path / "model" / "provenance.json").exists()


def test_a_push_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def complete(copy: Path) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        push(model(tmp_path / "model"), tmp_path / "base", complete)
    assert list((tmp_path / "base").iterdir()) == []


@pytest.mark.parametrize(("to", "earlier"), [(None, 2), (1, 1), (3, 3)])
def test_rollback_pushes_a_copy_of_the_earlier_version(tmp_path: Path, to: int | None, earlier: int) -> None:
    base = tmp_path / "base"
    for number in (1, 2, 3):
        push(model(tmp_path / f"model{number}", f"weights {number}"), base)
    assert rollback(base, to) == (earlier, 4)
    assert content(base / "4") == content(base / f"{earlier}")
    assert versions(base) == [1, 2, 3, 4]


def test_rollback_needs_an_earlier_version(tmp_path: Path) -> None:
    push(model(tmp_path / "model"), tmp_path / "base")
    with pytest.raises(NotFoundError, match=r"there is no version before the newest model's to go back to; found 1\."):
        rollback(tmp_path / "base", None)


@pytest.mark.parametrize(
    ("keep", "removed", "left"),
    [(1, [1, 2], [10]), (2, [1], [2, 10]), (3, [], [1, 2, 10]), (9, [], [1, 2, 10]), (0, [1, 2], [10])],
)
def test_the_newest_stay(tmp_path: Path, keep: int, removed: list[int], left: list[int]) -> None:
    for number in (1, 2, 10):
        model(tmp_path / f"{number}")
    assert remove_old(tmp_path, keep) == removed
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(map(str, left))


def test_a_push_that_is_killed_at_any_moment_shows_no_incomplete_version(tmp_path: Path) -> None:
    """Seen by a reader that looks all the time, and by the next push, which removes what was left."""
    source, base = model(tmp_path / "model", files=FILES), tmp_path / "base"
    rng, leftovers = random.Random(1), 0
    for _ in range(6):
        process = pushing(source, base)
        while process.poll() is None and not list(base.glob(".pushing-*")):
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        leftovers += len(list(base.glob(".pushing-*")))
        for version in versions(base):
            assert len(content(base / f"{version}")) == FILES + 1
    assert leftovers, "no process was killed in the middle of a push"
    version = push(source, base)
    assert content(base / f"{version}") == content(source)
    assert list(base.glob(".pushing-*")) == []


def test_a_killed_pushs_leftover_does_not_stop_a_process_of_the_same_number(tmp_path: Path) -> None:
    base = tmp_path / "base"
    model(base / f".pushing-{os.getpid()}", "old")
    assert push(model(tmp_path / "model"), base) == 1
    assert content(base / "1") == content(tmp_path / "model")


def test_a_push_leaves_that_of_a_living_process_alone(tmp_path: Path) -> None:
    base = tmp_path / "base"
    model(base / f".pushing-{os.getppid()}")
    push(model(tmp_path / "model"), base)
    assert (base / f".pushing-{os.getppid()}").is_dir()


def test_concurrent_pushes_give_versions_of_their_own_and_readers_see_only_whole_ones(tmp_path: Path) -> None:
    base, stop = tmp_path / "base", threading.Event()
    partial: list[int] = []
    sources = [model(tmp_path / f"model{number}", f"weights {number}", FILES) for number in range(3)]

    def look() -> None:
        while not stop.is_set():
            partial.extend(version for version in versions(base) if len(content(base / f"{version}")) <= FILES)

    reader = threading.Thread(target=look)
    reader.start()
    processes = [pushing(source, base) for source in sources]
    pushed = [int(process.communicate()[0]) for process in processes]
    stop.set()
    reader.join()
    assert sorted(pushed) == versions(base) == [1, 2, 3]
    assert partial == []
    for source, version in zip(sources, pushed, strict=True):
        assert content(base / f"{version}") == content(source)
