"""What a replay takes, what it leaves behind, and what it refuses."""

import dataclasses
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pipeline.jobs.replay as replay_job
from modules.kernel.explain import Counted
from modules.spec import DeclarationError, InputError, StoreUnavailable
from pipeline.jobs.replay import Difference, Disorder, Replayed, replay
from pipeline.live.reader import FeatureReader
from pipeline.stores.urls import list_namespaces
from tests.conftest import Run
from tests.pipeline.cli.in_process import call
from tests.pipeline.jobs.adversary import declare, write
from tests.pipeline.stores.servers import redis_server

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


def test_the_command_on_events_in_several_files(tmp_path: Path) -> None:
    declare(tmp_path)
    events = [f"--events={name}={path}" for name, paths in write(tmp_path).items() for path in paths]
    store = f"sqlite://{tmp_path}/new/rows.db"
    run = call(
        "replay", f"--features={tmp_path}/features.yaml", *events, f"--requests={tmp_path}/requests.jsonl",
        f"--store={store}", "--shuffle=10s",
    )  # fmt: skip
    lines = run.out.splitlines()
    assert run.exit_code == 0, run.err
    assert lines[:2] == ["rides: 368 events", "tips: 120 events"]
    assert lines[2].endswith(" requests, 12 live features, 25 pauses")
    assert " answers compared, 0 different; besides " in lines[3]
    assert len(lines) == 4
    assert list_namespaces(store) == []


def test_a_lateness_of_thousands_of_years(run: Callable[..., Replayed]) -> None:
    """Longer than events can be taken in late on their way."""
    found = run("live.sources.tips.lateness=20000d", disorder=Disorder(late=True))
    assert found.mismatches == 0


def test_it_gives_up_on_a_store_that_stays_away(run: Callable[..., Replayed], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_job, "PATIENCE_S", 0.5)
    read = FeatureReader.read
    with redis_server() as server:

        def read_and_kill(reader: FeatureReader, *request: Any) -> Any:
            answers = read(reader, *request)
            server.kill()
            return answers

        monkeypatch.setattr(FeatureReader, "read", read_and_kill)
        with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{server.port}"):
            run(store=f"redis://127.0.0.1:{server.port}/0")


FOUND = Replayed(
    events={"rides": 4000},
    requests=1000,
    features=12,
    pauses=25,
    compared=20_000,
    mismatches=0,
    incomplete=3000,
    refused=2,
    never_compared=0,
    lookback=None,
    differences=(),
)
DIFFERENCE = Difference(
    feature="spent",
    key={"area": "a,b", "rider": None},
    time=1_400_000_047_000_001,
    watermark=1_400_000_100_000_000,
    batch=0.1 + 0.2,
    stream=0.3,
    batch_bits="3fd3333333333334",
    stream_bits="3fd3333333333333",
    request={"area": "a,b", "rider": None},
    stream_events=Counted(2, 1, 1_400_000_000_000_000, 1_400_000_000_000_000),
)


def _told(found: Replayed, monkeypatch: pytest.MonkeyPatch, directory: Path, *more: str) -> Run:
    """The command, where the replay finds this."""
    declare(directory)
    monkeypatch.setattr(replay_job, "replay", lambda *_, **__: found)
    return call("replay", f"--features={directory}/features.yaml", *more)


def test_differences_are_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = dataclasses.replace(FOUND, mismatches=1001, differences=(DIFFERENCE,))
    run = _told(found, monkeypatch, tmp_path)
    assert run.exit_code == 1
    assert run.out == (
        "rides: 4,000 events\n"
        "1,000 requests, 12 live features, 25 pauses\n"
        "20,000 answers compared, 1,001 different; besides 3,000 incomplete, 2 refused as too old\n"
        "spent differs for area=a,b, rider=None at 2014-05-13T16:54:07.000001Z, read at 2014-05-13T16:55:00Z:\n"
        "  batch  3fd3333333333334 (0.30000000000000004)\n"
        "  stream 3fd3333333333333 (0.3)\n"
        "  twinbeam explain spent area=a,b rider= 2014-05-13T16:54:07.000001Z\n"
        "and 1,000 more\n"
    )
    run = _told(found, monkeypatch, tmp_path, "--json")
    assert run.exit_code == 1
    assert json.loads(run.out) == json.loads(json.dumps(dataclasses.asdict(found)))


def test_what_cannot_be_compared_is_not_shown_to_be_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = _told(dataclasses.replace(FOUND, never_compared=4800, lookback="4m"), monkeypatch, tmp_path)
    assert run.exit_code == 1
    assert run.out.endswith(
        "4,800 values were never compared: not complete, or too old, at each pause. Give a longer look-back: "
        "--set live.lookback=4m.\n"
    )


def test_with_the_look_back_that_it_asks_for_all_is_compared(run: Callable[..., Replayed]) -> None:
    overrides = "live.sources.rides.lateness=1m", "live.sources.rides.ahead=0s"
    short = run(*overrides, "live.lookback=50s")
    assert short.never_compared > 0
    assert short.lookback == "2m"
    enough = run(*overrides, "live.lookback=2m")
    assert enough.never_compared == short.mismatches == enough.mismatches == 0
    assert enough.lookback is None


def test_a_directory_of_files_that_overlap_in_time_and_have_any_name(tmp_path: Path) -> None:
    declaration = declare(tmp_path)
    events = write(tmp_path)
    inside = tmp_path / "a?b%20 c#d"
    inside.mkdir()
    for path in events["rides"]:
        shutil.move(path, inside)
    disorder = Disorder("10s", 1.0, late=True, seed=3)
    found = replay(declaration, events | {"rides": [str(inside)]}, str(tmp_path / "requests.jsonl"), None, disorder)
    assert found.events["rides"] == 368
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
    monkeypatch.setattr(replay_job, "backfill", lambda *_, **__: pytest.fail("too late"))
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

    monkeypatch.setattr(FeatureReader, "read", sometimes)
    found = run()
    assert next(times) == found.pauses + 2
    assert found.mismatches == found.never_compared == 0


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
