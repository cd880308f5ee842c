"""What a delay promises: kept on a dataset that is hard on every rule, and found where it is broken on both sides."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

import pipeline.parity.freshness as check
from modules.kernel import take
from modules.kernel.plan import Source
from modules.spec import Declaration
from pipeline.jobs.backfill import backfill
from pipeline.live.history import event_files
from pipeline.parity.check import Check
from pipeline.parity.freshness import freshness
from pipeline.parity.kept import Kept, kept
from pipeline.parity.sample import Sample
from pipeline.parity.seen import Seen, seen
from tests.pipeline.jobs.adversary import declare, write
from tests.pipeline.jobs.test_replay_finds import BROKEN


@dataclasses.dataclass(frozen=True)
class Stage:
    """What the check is given."""

    declaration: Declaration
    sample: Sample
    kept: Kept
    seen: tuple[Seen, ...]

    def check(self) -> Check | None:
        return freshness(self.declaration, self.sample, self.kept, self.seen)


def _stage(directory: Path) -> Stage:
    declaration, events = declare(directory), write(directory)
    backfill(declaration, events, str(directory / "requests.jsonl"), directory / "batch")
    table = ds.dataset(directory / "batch").to_table()
    ids = pc.unique(table.column("row_id")).cast(pa.large_binary())
    times = pc.cast(table.column("at"), pa.int64()).take(pc.index_in(ids.cast(pa.string()), table.column("row_id")))
    sample = Sample(ids, {}, times.combine_chunks())
    found = kept(declaration, sample, directory / "batch")
    return Stage(declaration, sample, found, seen(declaration, found, event_files(declaration, events)))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return _stage(tmp_path_factory.mktemp("stage"))


def test_a_promise_that_is_kept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    found = stage.check()
    assert found is not None
    assert (found.name, found.passed) == ("freshness", True)
    requests = len(stage.kept.rows)
    assert requests > 300
    assert found.compared == 3 * requests  # rides_10m, tipped and tip_share; no other feature has a delay
    assert found.sentence == f"{3 * requests:,} values of {requests:,} rows compared, none differs."
    monkeypatch.setattr(check, "_AT_ONCE", 500)
    assert stage.check() == found


def test_values_are_made_of_events(stage: Stage) -> None:
    """So that a check that withholds too much would be seen."""
    for name in ("rides_10m", "tipped", "tip_share"):
        assert len(np.unique(stage.kept.table.column(name).to_numpy())) > 4


def test_a_delay_that_both_sides_forget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stream and batch agree then, and only this check can tell."""
    BROKEN["a label is seen before its delay"](monkeypatch)
    found = _stage(tmp_path).check()
    assert found is not None
    assert not found.passed
    for name in ("rides_10m", "tipped", "tip_share"):
        assert f"{name} (" in found.sentence
    assert found.differences[0].key.keys() == {"row_id"}


def test_an_event_that_is_taken_in_too_late_and_counts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second half of the promise: it is withheld for the time at which it was ingested, whatever its own."""
    ingest = take.ingest_times
    monkeypatch.setattr(check, "ingest_times", lambda *given: ingest(*given) + 15_000_000)
    found = stage.check()
    assert found is not None
    assert "rides_10m (" in found.sentence
    assert "tipped (" not in found.sentence  # of 2 minutes more, 15 seconds are nothing


def test_what_would_take_too_long_is_left_out(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_MOST_EVENTS", 100)
    found = stage.check()
    assert found is not None
    assert found.passed
    requests = len(stage.kept.rows)
    left = 3 * requests - found.compared
    assert 0 < left < 3 * requests
    assert f"; {left:,} values were left out, for the sake of time." in found.sentence


def test_no_delay_promises_anything(stage: Stage, tmp_path: Path) -> None:
    short = declare(
        tmp_path,
        "live.features.rides_10m.delay=19s",  # the lateness is 20s
        "live.features.tipped.delay=119s",
        "live.features.tip_share.delay=0s",
    )
    again = seen(short, stage.kept, [])
    assert freshness(short, stage.sample, stage.kept, again) is None


def test_ingest_times() -> None:
    columns = {"at": pa.array([1, 2]), "taken_in": pa.array([None, 7], pa.int64())}
    [source, bare] = [Source("s", 1, "at", ingest, (), 0, 0, 0, 0, ()) for ingest in ("taken_in", None)]
    assert take.ingest_times(source, columns).tolist() == [1, 7]
    assert take.ingest_times(bare, columns).tolist() == [1, 2]
