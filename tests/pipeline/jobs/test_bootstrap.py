"""History, then the stream from a little before its end: what one stream over all of it gives."""

import datetime
from pathlib import Path
from random import Random

import pytest

from modules.spec import Declaration, InputError
from pipeline.jobs.bootstrap import bootstrap
from pipeline.jobs.stream import sources_of, stream
from pipeline.live.place import Place
from pipeline.live.watermark import HISTORY, source_watermark
from tests.pipeline.live.conftest import declaration, here, wanted
from tests.pipeline.live.lives import Life, given, living
from tests.pipeline.live.rides import SECOND, Event, Rows, declare, payments, rides, write

__all__ = ["declaration", "here", "wanted"]


@pytest.fixture
def events() -> dict[str, list[Event]]:
    return {"rides": rides(3_000), "payments": payments(rides(3_000))}


def written(directory: Path, events: dict[str, list[Event]], since: int = 0) -> dict[str, str]:
    """The URL of each source's events ingested since a time."""
    return {
        name: write(directory / f"{name}-{since}.jsonl", [event for event in some if event["taken_in"] >= since])
        for name, some in events.items()
    }


def history(directory: Path, events: dict[str, list[Event]]) -> dict[str, list[str]]:
    """The path of each source's events, as a bootstrap takes it."""
    return {name: [url.removeprefix("file://")] for name, url in written(directory, events).items()}


def watermarks(place: Place) -> dict[str, int]:
    with place.open() as store:
        registers = store.registers()
    return {source: source_watermark(source, registers) for source in {register.source for register in registers}}


@pytest.mark.slow
def test_killed_and_started_again_it_is_as_one_stream(
    tmp_path: Path, declaration: Declaration, here: Place, wanted: Place, events: dict[str, list[Event]]
) -> None:
    until = events["rides"][1_500]["taken_in"]
    whole = written(tmp_path, events)
    stream(declaration, sources_of(declaration, whole), wanted, f"{tmp_path}/dead-wanted")
    arguments = [
        "bootstrap", f"--features={tmp_path}/features.yaml", f"--store={here.url}", f"--dead-letters={tmp_path}/dead",
        f"--until={_text(until)}", "--batch-events=50",
        *(f"--events={name}={path}" for name, (path,) in history(tmp_path, events).items()),
    ]  # fmt: skip
    chance, log, kills = Random(1), tmp_path / "log", 0
    rest = sources_of(declaration, written(tmp_path, events, until - 300 * SECOND))
    with here.open() as store:
        for moment in (chance.uniform(kill, kill + 1) * 3_000 / 5 for kill in range(4)):
            kills += Life(arguments, log).kill_once_given(moment, store, chance)
            if given(store):
                with pytest.raises(InputError, match="is not merged yet"):
                    stream(declaration, rest, here, f"{tmp_path}/dead")
    assert kills > 1
    with living(arguments, log) as last:
        assert last.end() == 0, log.read_text()
    assert watermarks(here) == dict.fromkeys(events, until)
    stream(declaration, rest, here, f"{tmp_path}/dead")
    assert Rows.of(declaration, here, events) == Rows.of(declaration, wanted, events)
    assert watermarks(here) == watermarks(wanted)
    assert not Path(f"{tmp_path}/dead").exists()


def _text(micros: int) -> str:
    return (datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=micros)).isoformat()


def test_between_history_and_stream_the_watermark_holds(
    tmp_path: Path, declaration: Declaration, here: Place, events: dict[str, list[Event]]
) -> None:
    until = events["rides"][1_500]["taken_in"]
    bootstrap(declaration, history(tmp_path, events), until, here, f"{tmp_path}/dead")
    with here.open() as store:
        marks = {name: mark for name, mark in store.marks().items() if name.startswith("bootstrapped/")}
    assert marks == {f"bootstrapped/{name}": str(until) for name in events}
    older = {
        name: [event for event in some if event["taken_in"] < until - 60 * SECOND] for name, some in events.items()
    }
    stream(declaration, sources_of(declaration, written(tmp_path, older, 1)), here, f"{tmp_path}/dead")
    assert watermarks(here) == dict.fromkeys(events, until)  # the stream is behind the history


def test_history_reaches_its_end_without_a_time_and_is_merged_once(
    tmp_path: Path, declaration: Declaration, here: Place, events: dict[str, list[Event]]
) -> None:
    first = bootstrap(declaration, history(tmp_path, events), None, here, f"{tmp_path}/dead")
    assert first.merged == 6_000
    assert watermarks(here) == {name: max(event["taken_in"] for event in some) + 1 for name, some in events.items()}
    assert bootstrap(declaration, history(tmp_path, events), None, here, f"{tmp_path}/dead").events == 0


def test_it_refuses_what_cannot_be_history(tmp_path: Path, declaration: Declaration, here: Place) -> None:
    some = {"rides": rides(10), "payments": payments(rides(10))}
    with pytest.raises(InputError, match="kafka://localhost:9092/rides: cannot be listed"):
        bootstrap(declaration, {"rides": ["kafka://localhost:9092/rides"]}, None, here, f"{tmp_path}/dead")
    stream(declaration, sources_of(declaration, written(tmp_path, some)), here, f"{tmp_path}/dead")
    with pytest.raises(InputError, match="history must come first"):
        bootstrap(declaration, history(tmp_path, some), None, here, f"{tmp_path}/dead")


def test_another_declaration_is_bootstrapped_beside_a_stream(
    tmp_path: Path, declaration: Declaration, here: Place
) -> None:
    events = {"rides": rides(50), "payments": payments(rides(50))}
    urls = written(tmp_path, events)
    stream(declaration, sources_of(declaration, urls), here, f"{tmp_path}/dead")
    before = Rows.of(declaration, here, events)
    more = declare(tmp_path, "live.features.rides_5m.window=7m")
    beside = Place(here.url, more.features_fingerprint)
    bootstrap(more, history(tmp_path, events), None, beside, f"{tmp_path}/dead")
    stream(more, sources_of(more, urls), beside, f"{tmp_path}/dead")
    assert Rows.of(declaration, here, events) == before
    assert {register.partition for register in beside.open().registers()} == {HISTORY, "files"}
    assert not Path(f"{tmp_path}/dead").exists()


def test_history_is_what_the_batch_job_reads(tmp_path: Path) -> None:
    """Of the declared spans, in files whose names a URL would change."""
    rows = rides(90)
    for span in range(3):
        write(tmp_path / f"rides%41-{span}.jsonl", rows[span * 30 : span * 30 + 30])
    write(tmp_path / "payments.jsonl", payments(rows))
    batch = f"live.sources.rides.batch={tmp_path}/rides%41-{{SPAN}}.jsonl"
    declaration = declare(tmp_path, batch, "spans=2")
    place = Place(f"sqlite://{tmp_path}/rows.db", "a")
    events = {"payments": [f"{tmp_path}/payments.jsonl"]}
    assert bootstrap(declaration, events, None, place, f"{tmp_path}/dead").events == 60 + 90
    globbed = {**events, "rides": [f"{tmp_path}/rides%41-?.jsonl"]}
    beside = Place(place.url, "b")
    assert bootstrap(declaration, globbed, None, beside, f"{tmp_path}/dead").events == 90 + 90
    with pytest.raises(InputError, match=r"rides: the rows .* from .*-1\.jsonl and 1 more files, .* is another log"):
        bootstrap(declaration, globbed, None, place, f"{tmp_path}/dead")
