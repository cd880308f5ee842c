"""Partitions that stop together."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.spec import Typed
from pipeline.live.pacing import Paced, Pacer, pace
from pipeline.sources.recorded import Recorded, RecordedOptions

COLUMNS = {"at": Typed(type="timestamp", unit="us"), "number": Typed(type="int")}
NAME = "pacing"
PAUSES = [5, 10, 11, 500]


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Paced]:
    """Three recordings of events at even, at odd, and at no times below 20 microseconds."""
    recorded = []
    for number, times in enumerate((range(0, 20, 2), range(1, 20, 2), ())):
        path = tmp_path / f"{number}.jsonl"
        path.write_text("".join(json.dumps({"at": at, "number": at}) + "\n" for at in times) or "\n")
        options = RecordedOptions(duplicates=0.5, seed=number)
        recorded.append(Recorded("rides", str(path), COLUMNS, "at", None, options))
    yield Paced("rides", tuple(recorded), NAME)
    pace(NAME, None)


def test_a_pause_is_reached_once_all_have_given_what_comes_before_it(source: Paced) -> None:
    given: list[int] = []
    watermarks: dict[str, int] = {}
    reached: list[tuple[int, list[int], set[int]]] = []
    pacer = Pacer(
        PAUSES, 3, lambda pause: reached.append((pause, sorted(set(given)), {watermarks[name] for name in watermarks}))
    )
    pace(NAME, pacer)
    partitions = {name: source.open(name, 0) for name in source.partitions()}
    while partitions:
        for name, partition in list(partitions.items()):
            batch = partition.poll(2)
            if batch is None:
                del partitions[name]
            else:
                assert (batch.source, batch.partition) == ("rides", name)
                given += batch.rows["number"].to_pylist() if len(batch.rows) else []
                watermarks[name] = batch.watermark
    assert [pause for pause, _, _ in reached] == PAUSES
    for pause, numbers, at in reached:
        assert numbers == list(range(min(pause, 20)))
        assert at == {pause}
    assert pacer.pause is None


def test_opened_again_it_goes_on_where_it_was(source: Paced) -> None:
    pace(NAME, Pacer([100], 3, lambda pause: None))
    partition = source.open("0", 0)
    first = partition.poll(4)
    assert first is not None
    rest = source.open("0", first.position).poll(100)
    assert rest is not None
    assert set(first.rows["number"].to_pylist() + rest.rows["number"].to_pylist()) == set(range(0, 20, 2))


def test_who_says_late_that_it_has_arrived_is_not_counted_at_the_next_pause() -> None:
    reached: list[int] = []
    pacer = Pacer([5, 8], 2, reached.append)
    for partition in ("0", "1", "0"):  # the third is that of a worker which had not seen the pause end
        pacer.arrive("rides", partition, 5)
    pacer.arrive("rides", "1", 8)
    assert (reached, pacer.pause) == ([5], 8)


def test_what_fails_at_a_pause_is_done_again(source: Paced) -> None:
    failing = iter([ValueError("away"), None])

    def reached(pause: int) -> None:
        if error := next(failing):
            raise error

    pacer = Pacer([5], 1, reached)
    with pytest.raises(ValueError, match="away"):
        pacer.arrive("rides", "0", 5)
    assert pacer.pause == 5
    pacer.arrive("rides", "0", 5)
    assert pacer.pause is None
