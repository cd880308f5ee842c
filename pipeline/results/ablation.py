"""What an ablation found, in words."""

from collections.abc import Sequence
from typing import Literal

from modules.paired import Comparison

_NAMES = {"auc": "AUC", "log_loss": "log loss"}


def verdict(comparison: Comparison) -> Literal["better", "worse", "no difference"]:
    """Of the side with the live features; AUC is better as it rises, log loss as it falls."""
    if not comparison.differs:
        return "no difference"
    return "better" if (comparison.difference > 0) == (comparison.metric == "auc") else "worse"


def phrase(comparisons: Sequence[Comparison]) -> str:
    """All metrics on one line, each with its difference and 95 % interval."""
    return f"over {comparisons[0].seeds} seeds " + ", ".join(
        f"{_NAMES[each.metric]} {each.difference:+.4f} ({each.low:+.4f} to {each.high:+.4f}): {verdict(each)}"
        for each in comparisons
    )
