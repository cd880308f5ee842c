"""Each reason for which an event does not count, end to end; and what is replayed."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from modules.spec import Declaration
from pipeline.dead_letters import LetterDirectory
from pipeline.jobs.bootstrap import bootstrap
from pipeline.jobs.stream import sources_of, stream
from pipeline.live.letters import letter_sources
from pipeline.live.place import Place
from pipeline.live.reader import FeatureReader
from tests.pipeline.live.given import Given, batch
from tests.pipeline.live.rides import BEGIN, BROKEN, SECOND, Rows, declare, merged, payments, rides, spoilt, write


def run(declaration: Declaration, place: Place, dead: Path, url: str) -> dict[str, int]:
    """Streams rides; the dead letters that the job says it wrote."""
    sources = [each for each in sources_of(declaration, {"rides": url, "payments": url}) if each.name == "rides"]
    return stream(declaration, sources, place, str(dead)).dead_letters


def test_each_event_that_does_not_count_is_a_letter_with_its_reason_and_time(
    tmp_path: Path, declaration: Declaration, here: Place
) -> None:
    bad = {reason: event | {"undeclared": [1]} for reason, event in spoilt().items()}
    url = write(tmp_path / "rides.jsonl", [*rides(10), *bad.values()], [BROKEN])
    assert run(declaration, here, tmp_path / "dead", url) == dict.fromkeys([*bad, "unparsable"], 1)
    letters = {letter.reason: letter for letter in LetterDirectory(f"{tmp_path}/dead").read()}
    assert {reason: letter.source for reason, letter in letters.items()} == dict.fromkeys([*bad, "unparsable"], "rides")
    for reason, event in bad.items():
        letter = letters[reason]  # type: ignore[index]
        assert letter.payload == json.dumps(event).encode()
        assert (letter.time, letter.ingest) == (event["at"], event["taken_in"])
    assert letters["unparsable"].payload == BROKEN
    assert "rider: accepted: a whole number" in letters["schema"].detail


@pytest.mark.parametrize("from_history", [False, True])
def test_what_comes_to_closed_slots_is_a_letter_unless_the_history_held_it(
    tmp_path: Path, declaration: Declaration, here: Place, from_history: bool
) -> None:
    early, late = rides(50), rides(50, seed=3, begin=BEGIN + 600 * SECOND)
    if from_history:
        urls = {"rides": write(tmp_path / "e.jsonl", early), "payments": write(tmp_path / "p.jsonl", payments(early))}
        paths = {name: [url.removeprefix("file://")] for name, url in urls.items()}
        bootstrap(declaration, paths, None, here, f"{tmp_path}/dead")
    source = Given("rides", tuple(batch(declaration, some, late[-1]["taken_in"]) for some in (late, early)))
    counts = stream(declaration, [source], here, f"{tmp_path}/dead")
    assert counts.dead_letters == ({} if from_history else {"closed": 50})
    if from_history:
        both = {"rides": [*early, *late]}
        wanted = Place(f"sqlite://{tmp_path}/wanted.db", "a")
        merged(declaration, both, wanted)
        assert Rows.of(declaration, here, both) == Rows.of(declaration, wanted, both)
    else:
        details = {letter.detail for letter in LetterDirectory(f"{tmp_path}/dead").read()}
        assert [detail.startswith("came to a closed slot") for detail in details] == [True]


def test_a_letter_is_replayed_once_the_declaration_accepts_it(tmp_path: Path, here: Place) -> None:
    strict = declare(tmp_path)
    events = rides(30)
    late = [ride | {"at": ride["taken_in"] - 90 * SECOND, "ride": n} for n, ride in enumerate(rides(5, seed=4))]
    dead = tmp_path / "dead"
    url = write(tmp_path / "rides.jsonl", [*events, *late], [BROKEN])
    assert run(strict, here, dead, url) == {"late": 5, "unparsable": 1}
    lenient = declare(tmp_path, "live.sources.rides.lateness=10m")
    place = Place(here.url, lenient.features_fingerprint)
    assert run(lenient, place, tmp_path / "other", write(tmp_path / "rides.jsonl", events)) == {}
    registers = read_registers(place)
    counts = stream(lenient, letter_sources(lenient, str(dead)), place, str(dead))
    assert (counts.merged, counts.dead_letters) == (5, {"unparsable": 1})
    assert [letter.reason for letter in LetterDirectory(str(dead)).read()] == ["unparsable"]
    assert read_registers(place) == registers  # letters say nothing of how far the stream is
    wanted = Place(f"sqlite://{tmp_path}/wanted.db", "a")
    merged(lenient, {"rides": [*events, *late]}, wanted)
    both = {"rides": [*events, *late]}
    assert Rows.of(lenient, place, both) == Rows.of(lenient, wanted, both)
    again = stream(lenient, letter_sources(lenient, str(dead)), place, str(dead))
    assert (again.events, again.merged) == (1, 0)


def read_registers(place: Place) -> list[object]:
    with place.open() as store:
        return list(store.registers())


def test_replayed_letters_do_not_hold_up_the_readers(tmp_path: Path, declaration: Declaration, here: Place) -> None:
    events = rides(30)
    run(declaration, here, tmp_path / "dead", write(tmp_path / "rides.jsonl", events, [BROKEN]))
    stream(declaration, letter_sources(declaration, f"{tmp_path}/dead"), here, f"{tmp_path}/dead")
    mine = [name for name, feature in declaration.live_features.items() if feature.source == "rides"]
    with FeatureReader(declaration, here.open()) as reader:
        first = events[0]
        columns = {"rider": pa.array([first["rider"]]), "area": pa.array([first["area"]])}
        asked = np.array([events[-1]["taken_in"] - 61 * SECOND])
        values = reader.read(columns, asked)
        assert all(values[name].complete.all() for name in mine)
