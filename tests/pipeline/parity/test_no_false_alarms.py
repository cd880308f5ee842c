"""Where nothing is planted, nothing is found."""

import re
from pathlib import Path

import pytest

import pipeline.parity.live as live_check
from pipeline.components.parity_gate import read_checks
from tests.artifacts import artifact, taxi
from tests.pipeline.parity.conftest import ROWS, Streams


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_twenty_seeds_of_shuffling_duplication_and_lateness(streamed: Streams, seed: int) -> None:
    check = streamed(seed=seed)
    assert check.passed, check.sentence
    assert check.compared > 2 * 8 * ROWS


def test_a_run_of_the_taxi_data(taxi_run: Path) -> None:
    checks = read_checks(str(artifact(taxi_run, "ParityGate", "blessing")))
    assert [check.name for check in checks] == [
        "live features", "freshness", "transformed features", "scores", "defaults", "latency and size", "contract",
    ]  # fmt: skip
    for check in checks:
        assert check.passed, check.sentence
        assert check.differences == ()
    rows, singles = 2_000, 200
    # Three splits, with three fingerprints after Transform, the backfill, the model's three, the gateway and the store.
    contract = 3 + 3 * 3 + 1 + 3 + 1 + 1
    assert [check.compared for check in checks[1:]] == [
        8 * rows, 22 * (2 * rows + singles), 4 * (rows + singles), 7 * 16 * 22, 4, contract,
    ]  # fmt: skip


def test_features_whose_delay_is_shorter_than_the_lateness(streamed: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are complete only long after the request; the look-back that is declared would not do."""
    monkeypatch.setattr(live_check, "_MOST_PAUSES", 10**9)
    check = streamed(declaration=taxi("live.sources.trips.lateness=2d"))
    assert check.passed, check.sentence

    monkeypatch.setattr(live_check, "enough_lookback", lambda declaration: 86_400_000_000)
    check = streamed(declaration=taxi("live.sources.trips.lateness=2d"), seed=2)
    assert not check.passed
    assert check.differing == 0
    assert re.search("none differs, [0-9,]+ values were never complete; rounded once", check.sentence)
