import itertools

import numpy as np
import pytest

from pipeline.report.calibration import calibration, calibration_plot, score_plot, wilson
from pipeline.report.ranking import ranking, ranking_plots, thin
from pipeline.report.scores import Scores

LABELS = np.array([False, True, False, True])
SCORES = np.array([0.1, 0.4, 0.35, 0.8])


def _scores(labels: np.ndarray, scores: np.ndarray, baseline: np.ndarray | None = None) -> Scores:
    return Scores(labels, scores, baseline, {})


def _pairs(labels: np.ndarray, scores: np.ndarray) -> float:
    """AUC by its meaning: over all pairs, how often the positive scores higher, a tie being half."""
    pairs = list(itertools.product(scores[labels], scores[~labels]))
    return sum((positive > negative) + (positive == negative) / 2 for positive, negative in pairs) / len(pairs)


def test_roc_of_four_rows() -> None:
    # By falling score: 0.8 positive, 0.4 positive, 0.35 negative, 0.1 negative.
    ranked = ranking(LABELS, SCORES)
    assert ranked.recall.tolist() == [0, 0.5, 1, 1, 1]
    assert ranked.false_alarms.tolist() == [0, 0, 0, 0.5, 1]
    assert ranked.precision.tolist() == [1, 1, 1, 2 / 3, 0.5]
    assert ranked.area == 1


def test_equal_scores_are_one_point() -> None:
    ranked = ranking(np.array([True, False, True]), np.array([0.5, 0.5, 0.5]))
    assert ranked.recall.tolist() == [0, 1]
    assert ranked.false_alarms.tolist() == [0, 1]
    assert ranked.area == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_the_share_of_pairs_in_the_right_order(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.random(60) < 0.3
    scores = np.round(generator.random(60), 1)  # with ties
    assert ranking(labels, scores).area == pytest.approx(_pairs(labels, scores))


def test_a_thinned_curve_keeps_its_ends_and_its_area() -> None:
    generator = np.random.default_rng(1)
    labels = generator.random(50_000) < 0.3
    ranked = ranking(labels, generator.random(50_000) + labels * 0.3)
    xs, ys = thin(ranked.false_alarms, ranked.recall)
    assert len(xs) <= 242
    assert (xs[0], ys[0], xs[-1], ys[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(ys, xs) == pytest.approx(ranked.area, abs=1e-4)


def test_plots_of_the_ranking() -> None:
    roc, precision_recall = ranking_plots(_scores(LABELS, SCORES, np.array([0.5, 0.5, 0.4, 0.6])))
    assert "area 1.0000" in roc.description
    [dot] = roc.dots
    # At 0.5 one of two positives and no negative is found.
    assert (dot.x, dot.y) == (roc.left, (roc.top + roc.bottom) / 2)
    assert [path.style for path in roc.paths] == ["reference", "baseline curve", "candidate curve"]
    assert [key.text for key in precision_recall.keys] == ["this model", "baseline", "at 0.5", "share of positives"]
    assert "recall 50\u00a0%, precision 100\u00a0%" in precision_recall.description


@pytest.mark.parametrize("label", [True, False])
def test_one_class_cannot_be_ranked(label: bool) -> None:
    one_class = _scores(np.array([label, label]), np.array([0.2, 0.9]))
    assert ranking_plots(one_class) == ()
    assert calibration_plot(one_class).dots
    assert score_plot(one_class).paths


def test_calibration_bins() -> None:
    labels = np.array([False, True, True, True, False])
    scores = np.array([0.0, 0.06, 0.1, 1.0, 0.95])
    found = calibration(labels, scores)
    # [0, 0.1) holds 0 and 0.06, [0.1, 0.2) holds 0.1, [0.9, 1] holds 0.95 and 1.
    assert [each.rows for each in found] == [2, 1, 2]
    assert [each.score for each in found] == pytest.approx([0.03, 0.1, 0.975])
    assert [each.observed for each in found] == [0.5, 1, 0.5]


@pytest.mark.parametrize(
    ("share", "rows", "low", "high"),
    [
        (0.5, 10, 0.2366, 0.7634),  # Brown, Cai and DasGupta (2001), with z = 1.96
        (0.0, 10, 0.0, 0.2775),  # z^2 / (n + z^2)
        (1.0, 10, 0.7225, 1.0),
    ],
)
def test_wilson(share: float, rows: int, low: float, high: float) -> None:
    assert wilson(share, rows) == pytest.approx((low, high), abs=1e-4)


def test_scores_by_label_make_a_whole_each() -> None:
    plot = score_plot(_scores(LABELS, np.array([0.0, 0.5, 0.01, 1.0])))
    assert [path.style for path in plot.paths] == ["negative area outlined", "positive area outlined"]
    assert [mark.text for mark in plot.y_marks][-1] == "100\u00a0%"  # both negatives are in the first bin
