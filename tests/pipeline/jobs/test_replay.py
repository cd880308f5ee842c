"""What a replay takes, what it leaves behind, and what it refuses."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pipeline.jobs.replay as replay_job
from modules.kernel import plan, window
from modules.spec import DeclarationError, InputError, StoreUnavailable
from pipeline.jobs.replay import Disorder, Replayed, replay
from pipeline.live.reader import FeatureReader
from pipeline.stores.urls import list_namespaces
from tests.conftest import Run
from tests.pipeline.cli.in_process import call
from tests.pipeline.jobs.adversary import declare, write

_NONE = Disorder()
pytestmark = pytest.mark.usefixtures("quick_disk")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Replayed]:
    """Replays the dataset, told otherwise by overrides and by a disorder."""
    declare(tmp_path)
    events = write(tmp_path)

    def run(*overrides: str, disorder: Disorder = _NONE, store: str | None = None) -> Replayed:
        return replay(declare(tmp_path, *overrides), events, str(tmp_path / "requests.jsonl"), store, disorder)

    return run


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Run]:
    """`twinbeam replay` of the dataset."""
    declare(tmp_path)
    events = [f"--events={name}={path}" for name, paths in write(tmp_path).items() for path in paths]
    given = [f"--features={tmp_path}/features.yaml", *events, f"--requests={tmp_path}/requests.jsonl"]
    return lambda *more: call("replay", *given, *more)


def test_the_command_prints_what_it_found(command: Callable[..., Run], tmp_path: Path) -> None:
    run = command(f"--store=sqlite://{tmp_path}/new/rows.db", "--shuffle=10s")
    lines = run.out.splitlines()
    assert run.exit_code == 0, run.err
    assert lines[:2] == ["rides: 368 events", "tips: 120 events"]
    assert lines[2].endswith(" requests, 12 live features, 25 pauses")
    assert " answers compared, 0 different; besides " in lines[3]
    assert len(lines) == 4
    assert list_namespaces(f"sqlite://{tmp_path}/new/rows.db") == []


class _LaterStop(window.Windows):
    def edges(self, slots: np.ndarray) -> np.ndarray:
        start, stop = super().edges(slots)
        return np.stack([start, stop + 1])


def test_the_command_shows_the_first_differences(command: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = replay_job.stream

    def streamed(*arguments: object, **named: object) -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plan, "Windows", _LaterStop)
            return stream(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(replay_job, "stream", streamed)
    run = command("--set=live.features.rides_10m.edge=1s")
    assert run.exit_code == 1
    lines = run.out.splitlines()
    assert " 0 different" not in lines[3]
    at = next(number for number, line in enumerate(lines) if line.startswith("rides_1m differs for rider="))
    assert lines[at].count("2014-05-13T") == 2
    assert lines[at].endswith("Z:")
    batch, streamed_value = lines[at + 1].split(), lines[at + 2].split()
    assert batch[0] == "batch"
    assert streamed_value[0] == "stream"
    assert int(batch[1], 16) == int(batch[2].strip("()")) < int(streamed_value[1], 16)
    assert lines[-1].startswith("and ")
    found = json.loads(command("--set=live.features.rides_10m.edge=1s", "--json").out)
    assert found["mismatches"] > len(found["differences"]) == 10
    assert found["differences"][0]["key"].keys() <= {"rider", "area"}


def test_what_cannot_be_compared_is_not_shown(command: Callable[..., Run]) -> None:
    run = command("--set=live.lookback=1m", "--set=live.sources.rides.lateness=2m")
    assert run.exit_code == 1
    assert " answers compared, 0 different; " in run.out
    assert " values were never compared: not complete, or too old, at each pause. " in run.out
    assert run.out.endswith("Give a longer look-back: --set live.lookback=4m.\n")


def test_with_the_look_back_that_it_asks_for_all_is_compared(run: Callable[..., Replayed]) -> None:
    overrides = "live.sources.rides.lateness=1m", "live.sources.rides.ahead=0s"
    short = run(*overrides, "live.lookback=50s")
    assert short.never_compared > 0
    assert short.lookback == "2m"
    enough = run(*overrides, "live.lookback=2m")
    assert enough.never_compared == short.mismatches == enough.mismatches == 0
    assert enough.lookback is None


def test_files_may_have_any_name(tmp_path: Path) -> None:
    directory = tmp_path / "a?b%20 c#d"
    directory.mkdir()
    declaration = declare(directory)
    events = write(directory)
    found = replay(declaration, events, str(directory / "requests.jsonl"), None, Disorder("10s", 1.0, True, 3))
    assert found.mismatches == found.never_compared == 0


def test_a_directory_of_files_that_overlap_in_time(tmp_path: Path) -> None:
    declaration = declare(tmp_path)
    events = write(tmp_path)
    inside = tmp_path / "rides"
    inside.mkdir()
    for path in events["rides"]:
        shutil.move(path, inside)
    found = replay(
        declaration, events | {"rides": [str(inside)]}, str(tmp_path / "requests.jsonl"), None, Disorder("10s", 0.1)
    )
    assert found.mismatches == found.never_compared == 0


@pytest.mark.parametrize(
    ("disorder", "words"),
    [
        (Disorder(shuffle="5"), "--shuffle 5: accepted: a duration such as 5m, at most 10000d: the furthest"),
        (Disorder(shuffle="20000d"), "--shuffle 20000d: accepted: a duration such as 5m, at most 10000d"),
        (Disorder(duplicates=1.5), "--duplicates 1.5: accepted: a number from 0 to 1"),
        (Disorder(seed=-1), "--seed -1: accepted: a whole number from 0"),
    ],
)
def test_a_disorder_that_is_not_accepted(run: Callable[..., Replayed], disorder: Disorder, words: str) -> None:
    with pytest.raises(InputError) as refused:
        run(disorder=disorder)
    assert str(refused.value).startswith(words)


def test_a_url_that_names_no_store_is_refused_at_once(
    run: Callable[..., Replayed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_job, "backfill", lambda *_: pytest.fail("too late"))
    with pytest.raises(InputError, match="names no online store"):
        run(store="mysql://here")


def test_without_live_features(tmp_path: Path) -> None:
    declaration = declare(tmp_path).model_copy(update={"live": None})
    with pytest.raises(DeclarationError, match="there are no live features"):
        replay(declaration, {}, None, None, Disorder())


def test_nothing_stays_in_the_store_when_reading_fails(
    run: Callable[..., Replayed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = f"sqlite://{tmp_path}/rows.db"

    def fail(*_: object) -> None:
        assert len(list_namespaces(store)) == 1
        raise ValueError("an edge would cut a cell")

    monkeypatch.setattr(FeatureReader, "read", fail)
    with pytest.raises(Exception, match="an edge would cut a cell"):
        run(store=store)
    assert list_namespaces(store) == []


def test_a_store_that_is_away_while_it_is_read_is_read_again(
    run: Callable[..., Replayed], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, times = FeatureReader.read, iter(range(1000))

    def sometimes(*arguments: object) -> object:
        if next(times) in (2, 3):
            raise StoreUnavailable("away")
        return read(*arguments)  # type: ignore[arg-type]

    whole = run()
    monkeypatch.setattr(FeatureReader, "read", sometimes)
    assert run() == whole


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(
    run: Callable[..., Replayed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    store, read = f"sqlite://{tmp_path}/rows.db", FeatureReader.read

    def interrupt(*arguments: object) -> object:
        signal.raise_signal(number)
        return read(*arguments)  # type: ignore[arg-type]

    before = signal.getsignal(number)
    monkeypatch.setattr(FeatureReader, "read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(store=store)
    assert list_namespaces(store) == []
    assert signal.getsignal(number) == before
