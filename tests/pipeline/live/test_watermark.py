"""How far a source is merged: as far as its slowest partition, and no less than its history."""

import dataclasses
from pathlib import Path

from modules.kernel.window import NEVER
from modules.spec import Declaration
from pipeline.jobs.stream import stream
from pipeline.live.place import Place
from pipeline.live.watermark import HISTORY, source_watermark
from pipeline.sources.source import EventBatch, Partition
from pipeline.stores.store import Register
from tests.pipeline.live.given import Given, batch
from tests.pipeline.live.rides import SECOND, Rows, merged, rides


def test_it_is_that_of_the_slowest_partition() -> None:
    registers = [Register("rides", "0", 5, 0), Register("rides", "1", 3, 0), Register("payments", "0", 1, 0)]
    assert source_watermark("rides", registers) == 3
    assert source_watermark("none", registers) == NEVER


def test_the_history_holds_all_that_was_given_before_its_end() -> None:
    registers = [Register("rides", HISTORY, 4, 0), Register("rides", "0", NEVER, 0)]
    assert source_watermark("rides", registers) == 4
    assert source_watermark("rides", [*registers[:1], Register("rides", "0", 9, 0)]) == 9


@dataclasses.dataclass(frozen=True)
class Two:
    """A source of two partitions, of which the first is given to its end before the second begins."""

    name: str
    batches: dict[str, EventBatch]
    log: str = "given"

    def partitions(self) -> list[str]:
        return list(self.batches)

    def open(self, partition: str, position: int) -> Partition:
        return Given(self.name, (self.batches[partition],)).open("one", position)


def test_a_partition_that_is_far_behind_loses_nothing(
    tmp_path: Path, declaration: Declaration, here: Place, wanted: Place
) -> None:
    events = rides(400)
    last = events[-1]["taken_in"] + 3_600 * SECOND
    first, second = events[200:], events[:200]
    batches = {"fast": batch(declaration, first, last), "slow": batch(declaration, second, last)}
    named = {name: dataclasses.replace(each, partition=name) for name, each in batches.items()}
    counts = stream(declaration, [Two("rides", named)], here, f"{tmp_path}/dead")
    assert (counts.merged, counts.dead_letters) == (400, {})
    merged(declaration, {"rides": events}, wanted)
    assert Rows.of(declaration, here, {"rides": events}) == Rows.of(declaration, wanted, {"rides": events})
