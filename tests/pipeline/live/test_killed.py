"""SIGKILL at any moment: started again, the job ends as if nothing had happened."""

import random
from pathlib import Path

import pytest

from modules.spec import Declaration
from pipeline.dead_letters import LetterDirectory
from pipeline.live.place import Place
from tests.pipeline.live.lives import Life, living
from tests.pipeline.live.rides import BROKEN, Rows, merged, payments, rides, spoilt, write

_KILLS = 8
DISORDER = "?shuffle=40s&duplicates=0.1&seed=5"


def stream_arguments(directory: Path, place: Place, *more: str) -> list[str]:
    return [
        "stream", f"--features={directory}/features.yaml", f"--store={place.url}", f"--dead-letters={directory}/dead",
        *more,
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_killed_many_times_the_store_ends_the_same(
    tmp_path: Path, declaration: Declaration, place: Place, wanted: Place, seed: int
) -> None:
    events = {"rides": rides(4_000), "payments": payments(rides(4_000))}
    bad = [*spoilt().values(), *spoilt(events["rides"][-1]["at"]).values()]
    arguments = stream_arguments(
        tmp_path, place, "--batch-events=100",
        f"--source=rides={write(tmp_path / 'rides.jsonl', [*events['rides'], *bad], [BROKEN])}{DISORDER}",
        f"--source=payments={write(tmp_path / 'payments.jsonl', events['payments'])}{DISORDER}",
    )  # fmt: skip
    chance = random.Random(seed)
    log = tmp_path / "log"
    kills = 0
    while kills < _KILLS and Life(arguments, log).kill_after(chance.uniform(0.1, 1.0)):
        kills += 1
    with living(arguments, log) as last:
        assert last.end() == 0, log.read_text()
    merged(declaration, events, wanted)
    assert Rows.of(declaration, place, events) == Rows.of(declaration, wanted, events)
    letters = [(letter.reason, letter.payload) for letter in LetterDirectory(f"{tmp_path}/dead").read()]
    assert sorted(reason for reason, _ in letters) == sorted([*2 * list(spoilt()), "unparsable"])
    print(f"{kills} kills")
    assert kills > 2
