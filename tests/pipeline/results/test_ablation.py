"""An ablation in words."""

import pytest

from modules.paired import Comparison
from pipeline.results.ablation import phrase, verdict


def comparison(metric: str, low: float, high: float) -> Comparison:
    return Comparison(metric, 5, 0.9, 0.9 - (low + high) / 2, (low + high) / 2, low, high)


@pytest.mark.parametrize(
    ("metric", "low", "high", "expected"),
    [
        ("auc", 0.001, 0.003, "better"),
        ("auc", -0.003, -0.001, "worse"),
        ("log_loss", 0.001, 0.003, "worse"),
        ("log_loss", -0.003, -0.001, "better"),
        ("auc", -0.001, 0.003, "no difference"),
        ("log_loss", 0.0, 0.003, "no difference"),
    ],
)
def test_verdict(metric: str, low: float, high: float, expected: str) -> None:
    assert verdict(comparison(metric, low, high)) == expected


def test_phrase() -> None:
    assert phrase([comparison("auc", 0.001, 0.003), comparison("log_loss", -0.01, 0.03)]) == (
        "over 5 seeds AUC +0.0020 (+0.0010 to +0.0030): better, log loss +0.0100 (-0.0100 to +0.0300): no difference"
    )
