"""A writer that dies before or after any of its calls to the store or the dead letters: the next one ends the same."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modules.spec import Declaration
from pipeline.dead_letters import LetterDirectory
from pipeline.jobs.stream import sources_of
from pipeline.live.merge_events import MergeEvents
from pipeline.live.place import Place
from pipeline.live.poll_events import PollEvents
from pipeline.sources.source import EventSource
from pipeline.stores.store import OnlineStore
from tests.pipeline.live.rides import BROKEN, Event, Rows, merged, rides, spoilt, write

_WRITES = ("write", "advance", "raise_floor")


class Death(BaseException):
    """The end of the process."""


class Mortal:
    """Dies at its n-th call, before or after it is done."""

    def __init__(self, at: int, after: bool) -> None:
        self._at, self._after = at, after
        self.calls = 0

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self.calls += 1
        if self.calls == self._at and not self._after:
            raise Death
        result = function(*arguments)
        if self.calls == self._at:
            raise Death
        return result


class MortalStore:
    """A store whose calls that write may be the last."""

    def __init__(self, store: OnlineStore, life: Mortal) -> None:
        self._store, self._life = store, life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return (lambda *arguments: self._life.call(found, *arguments)) if name in _WRITES else found


def run(declaration: Declaration, source: EventSource, place: Place, dead: str, life: Mortal) -> None:
    """The job without the runner: polls and merges to the end, or to the death of the writer."""
    merging = MergeEvents("a job", declaration, place, dead)
    merging.setup()
    merging._store = MortalStore(merging._store, life)
    letters = merging._dead_letters.write
    setattr(merging._dead_letters, "write", lambda some: life.call(letters, some))  # noqa: B010  mypy knows no patches
    polling = PollEvents("a job", place, [source], 40, 1, False)
    polling.setup()
    (partition,) = polling._open_all(0)
    try:
        while (batch := partition.poll(40)) is not None:
            assert list(merging.process(batch)) == []
    finally:
        partition.close()
        merging.teardown()


@pytest.mark.parametrize("after", [False, True])
def test_whichever_call_is_the_last_the_next_writer_ends_the_same(
    tmp_path: Path, declaration: Declaration, wanted: Place, after: bool
) -> None:
    good = rides(200, apart=20_000_000)
    rivals: list[Event] = [good[100] | {"amount": 1.0}, good[100] | {"amount": 2.0}]
    everything = [*good, *rivals, *spoilt().values()]
    url = write(tmp_path / "rides.jsonl", everything, [BROKEN]) + "?shuffle=40s&duplicates=0.2"
    source = sources_of(declaration, {"rides": url, "payments": "file:///none"})[0]
    events = {"rides": [*good, *rivals]}
    merged(declaration, events, wanted)
    for at in itertools.count(1):
        place = Place(f"sqlite://{tmp_path}/{at}.db", "a")
        dead = f"{tmp_path}/dead-{at}"
        life = Mortal(at, after)
        try:
            run(declaration, source, place, dead, life)
        except Death:
            run(declaration, source, place, dead, Mortal(0, False))
        assert Rows.of(declaration, place, events) == Rows.of(declaration, wanted, events), at
        reasons = {reason: count for (_, reason), count in LetterDirectory(dead).counts().items()}
        conflicts = reasons.pop("conflict")
        assert reasons == dict.fromkeys([*spoilt(), "unparsable"], 1), at
        assert conflicts in (2, 3), at
        if life.calls < at:
            break
    assert at > 20
