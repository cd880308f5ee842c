"""Two jobs that write the same keys at once end in the same rows."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from modules.live import entities
from modules.spec import Declaration
from pipeline.live.merge import MergeResult, OnlineWriter
from pipeline.live.place import Place
from tests.pipeline.live.rides import Event, Rows, merged, parsed, rides


def test_two_writers_of_the_same_keys(tmp_path: Path, declaration: Declaration, place: Place, wanted: Place) -> None:
    events = {"rides": rides(1_200)}
    merged(declaration, events, wanted)
    with ThreadPoolExecutor(2) as threads:
        halves = [threads.submit(_merge_all, declaration, place, events["rides"][n::2]) for n in range(2)]
        results = [result for half in halves for result in half.result()]
    assert Rows.of(declaration, place, events) == Rows.of(declaration, wanted, events)
    assert sum(result.refused for result in results) > 0
    assert sum(result.duplicates for result in results) == 0


def test_two_writers_of_the_same_events(tmp_path: Path, declaration: Declaration, here: Place, wanted: Place) -> None:
    events = {"rides": rides(1_200)}
    merged(declaration, events, wanted)
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(_merge_all, declaration, here, events["rides"]) for _ in range(2)]
        results = [result for each in both for result in each.result()]
    assert Rows.of(declaration, here, events) == Rows.of(declaration, wanted, events)
    assert sum(result.duplicates for result in results) == 2 * 1_200  # of each entity


def _merge_all(declaration: Declaration, place: Place, events: list[Event]) -> list[MergeResult]:
    kinds = entities(declaration)
    (source,) = {entity.source for entity in kinds if entity.source.name == "rides"}
    with place.open() as store:
        writer = OnlineWriter(source, kinds, store)
        return [writer.merge(parsed(declaration, source, events[n : n + 60])) for n in range(0, len(events), 60)]
