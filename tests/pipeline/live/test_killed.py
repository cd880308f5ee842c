"""SIGKILL at any moment: started again, the job ends as if nothing had happened."""

from pathlib import Path
from random import Random

import pytest

from modules.spec import Declaration
from pipeline.dead_letters import LetterDirectory
from pipeline.live.place import Place
from tests.pipeline.live.lives import Life, living
from tests.pipeline.live.rides import BROKEN, Rows, merged, payments, rides, spoilt, write

_KILLS = 6
_DISORDER = "?shuffle=40s&duplicates=0.1&seed=5"


@pytest.mark.slow
def test_killed_many_times_the_store_ends_the_same(
    tmp_path: Path, declaration: Declaration, place: Place, wanted: Place
) -> None:
    events = {"rides": rides(2_000), "payments": payments(rides(2_000))}
    bad = [*spoilt().values(), *spoilt(events["rides"][-1]["at"]).values()]
    arguments = [
        "stream", f"--features={tmp_path}/features.yaml", f"--store={place.url}", f"--dead-letters={tmp_path}/dead",
        "--batch-events=30",
        f"--source=rides={write(tmp_path / 'rides.jsonl', [*events['rides'], *bad], [BROKEN])}{_DISORDER}",
        f"--source=payments={write(tmp_path / 'payments.jsonl', events['payments'])}{_DISORDER}",
    ]  # fmt: skip
    chance, log = Random(1), tmp_path / "log"
    with place.open() as store:
        moments = (chance.uniform(kill, kill + 1) * 4_000 / (_KILLS + 1) for kill in range(_KILLS))
        kills = sum(Life(arguments, log).kill_once_given(moment, store, chance) for moment in moments)
    with living(arguments, log) as last:
        assert last.end() == 0, log.read_text()
    merged(declaration, events, wanted)
    assert Rows.of(declaration, place, events) == Rows.of(declaration, wanted, events)
    reasons = [letter.reason for letter in LetterDirectory(f"{tmp_path}/dead").read()]
    assert sorted(reasons) == sorted([*2 * list(spoilt()), "unparsable"])
    assert kills > 2
