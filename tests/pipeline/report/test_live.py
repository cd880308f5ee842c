"""What the page says of events, and of what the live features add."""

from typing import Any

from modules.paired import Pair, compare
from pipeline.report.live import events, live
from pipeline.results.record import RunRecord
from tests.pipeline.results.test_record import RECORD


def pairs(*auc: tuple[float, float]) -> list[Pair]:
    """The log loss is 1 - AUC / 2, so that both get better together."""
    return [
        Pair(seed, *({"auc": each, "log_loss": 1 - each / 2} for each in sides)) for seed, sides in enumerate(auc, 1)
    ]


def record(given: list[Pair], **changes: Any) -> RunRecord:
    return RECORD.model_copy(update={"ablation": compare(given) if given else (), **changes})


BETTER = pairs((0.82, 0.8), (0.83, 0.8), (0.84, 0.8))
UNSURE = pairs((0.82, 0.8), (0.78, 0.8), (0.82, 0.8))


def said(given: list[Pair], **changes: Any) -> str:
    found = live(record(given, **changes), given)
    assert found
    return found.sentence


def test_without_live_features_there_is_nothing_to_say() -> None:
    bare = record([], live_features=0, events={}, not_counted=())
    assert live(bare, []) is None
    assert events(bare) is None


def test_without_an_ablation_how_to_get_one() -> None:
    found = live(record([]), [])
    assert found
    assert "2 live features. `evaluation.ablation_seeds: 5` trains it with and without them" in found.sentence
    assert (found.rows, found.plots) == ((), ())


def test_in_plain_words() -> None:
    assert said(BETTER).endswith("with 3 seeds each: AUC is better with them, Log loss is better with them.")
    assert said(UNSURE).endswith("with its 2 live features and without: no difference that 3 seeds show.")
    worse = [Pair(pair.seed, pair.without_it, pair.with_it) for pair in BETTER]
    assert "AUC is worse with them" in said(worse)
    mixed = [
        Pair(pair.seed, pair.with_it, {**pair.without_it, "log_loss": pair.with_it["log_loss"]}) for pair in BETTER
    ]
    assert said(mixed).endswith(": AUC is better with them, Log loss shows no difference.")
    assert "its 1 live feature and" in said(BETTER, live_features=1)


def test_rows() -> None:
    found = live(record(BETTER), BETTER)
    assert found
    auc, log_loss = found.rows
    assert (auc.name, auc.with_it, auc.without_it, auc.difference) == ("AUC", "0.8300", "0.8000", "+0.0300")
    assert (auc.low, auc.high, auc.verdict) == ("+0.0052", "+0.0548", "better")  # 0.03 and 4.3027 * 0.01 / sqrt(3)
    assert (log_loss.difference, log_loss.low, log_loss.high) == ("\u22120.0150", "\u22120.0274", "\u22120.0026")


def test_a_dot_a_seed_and_one_for_the_mean_on_an_axis_that_holds_zero_and_the_interval() -> None:
    found = live(record(BETTER), BETTER)
    assert found
    plot = found.plots[0]
    *seeds, mean = plot.dots
    assert [dot.title for dot in seeds] == [f"seed {seed}: 0.8{seed + 1}00 with, 0.8000 without" for seed in (1, 2, 3)]
    assert [dot.x for dot in seeds] == sorted(dot.x for dot in seeds)
    assert mean.x == seeds[1].x
    reference, interval = (path.data for path in plot.paths)
    zero = float(reference[1:].split()[0])
    low, high = float(interval[1:].split()[0]), float(interval.partition("H")[2])
    assert plot.left < zero < low < seeds[0].x < seeds[2].x < high < plot.right


def test_events() -> None:
    found = events(record([], events={"trips": 15002, "payments": 7}))
    assert found
    assert found.read == "15,002 events of trips and 7 events of payments"
    assert found.not_counted == ("trips, 1 event (late)",)
