"""The metrics, what the declaration asks of them, and what the baseline has."""

import dataclasses
import math
from collections.abc import Mapping

from tfx.components.evaluator.constants import ARTIFACT_PROPERTY_BLESSED_KEY, BLESSED_VALUE
from tfx.types import artifact_utils

from modules.spec import Declaration
from modules.spec.evaluation import Threshold
from pipeline.components.evaluator import BASELINE, LOWER_IS_BETTER, METRICS, MISSED_PROPERTY, missed
from pipeline.orchestration.local_runner import Outputs
from pipeline.report.numbers import change, metric
from pipeline.results import figures

NAMES = {
    "auc": "AUC",
    "precision": "Precision",
    "recall": "Recall",
    "accuracy": "Accuracy",
    "log_loss": "Log loss",
    "calibration": "Calibration",
}
"""The metrics' names as people write them."""

_MEANINGS = {
    "auc": "how often a positive scores above a negative",
    "precision": "share of predicted positives that are positive",
    "recall": "share of positives that are predicted",
    "accuracy": "share of rows predicted right",
    "log_loss": "mean cost of the scores, lower is better",
    "calibration": "mean score over share of positives, 1 is right",
}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The Evaluator's blessing."""

    blessed: bool
    missed: str
    """Which thresholds were missed, in words; empty if blessed."""


@dataclasses.dataclass(frozen=True)
class Gauge:
    """A metric on a bar, all in percent of the bar's length."""

    value: float
    baseline: float | None
    allowed: tuple[float, float] | None
    """Start and length of what is blessed; None if nothing is asked."""


@dataclasses.dataclass(frozen=True)
class Judgement:
    """One metric's row."""

    name: str
    meaning: str
    value: str
    baseline: str
    change: str
    asked: str
    """The thresholds in words; empty if there is none."""
    met: bool | None
    """None: nothing is asked."""
    gauge: Gauge | None
    """None: the metric is undefined or infinite."""


def verdict(outputs: Outputs) -> Verdict:
    """What the Evaluator decided."""
    blessing = artifact_utils.get_single_instance(outputs["blessing"])
    blessed = blessing.get_int_custom_property(ARTIFACT_PROPERTY_BLESSED_KEY) == BLESSED_VALUE
    return Verdict(blessed, blessing.get_string_custom_property(MISSED_PROPERTY))


def baseline_metrics(outputs: Outputs) -> dict[str, float]:
    """The baseline's metrics over the whole eval split; empty if there is no baseline."""
    whole = figures.sliced_metrics(outputs, BASELINE).get(())
    return {name: whole[name] for name in METRICS} if whole else {}


def judgements(
    metrics: Mapping[str, float], baseline: Mapping[str, float], declaration: Declaration
) -> tuple[Judgement, ...]:
    """One row a metric, those that are asked for first.

    Args:
      metrics: The model's, by our names.
      baseline: The baseline's, empty if there is none.
      declaration: Gives the thresholds.
    """
    thresholds: Mapping[str, Threshold] = {str(name): each for name, each in declaration.evaluation.thresholds.items()}
    order = [*(name for name in METRICS if name in thresholds), *(name for name in METRICS if name not in thresholds)]
    rows = []
    for name in order:
        value, before, threshold = metrics[name], baseline.get(name), thresholds.get(name)
        rows.append(
            Judgement(
                name=NAMES[name],
                meaning=_MEANINGS[name],
                value=metric(value),
                baseline="" if before is None else metric(before),
                change="" if before is None else change(value - before),
                asked=_asked(threshold, before) if threshold else "",
                met=not missed(name, threshold, value, before) if threshold else None,
                gauge=_gauge(name, value, before, _bounds(name, threshold, before) if threshold else None),
            )
        )
    return tuple(rows)


def _bounds(name: str, threshold: Threshold, baseline: float | None) -> tuple[float, float]:
    """Where the bar is drawn as blessed; `missed` decides."""
    low = -math.inf if threshold.at_least is None else threshold.at_least
    high = math.inf if threshold.at_most is None else threshold.at_most
    if threshold.may_worsen_by is not None and baseline is not None and math.isfinite(baseline):
        if name in LOWER_IS_BETTER:
            high = min(high, baseline + threshold.may_worsen_by)
        else:
            low = max(low, baseline - threshold.may_worsen_by)
    return low, high


def _asked(threshold: Threshold, baseline: float | None) -> str:
    parts = []
    if threshold.at_least is not None:
        parts.append(f"at least {threshold.at_least:g}")
    if threshold.at_most is not None:
        parts.append(f"at most {threshold.at_most:g}")
    if threshold.may_worsen_by is not None:
        worse = f"no worse than baseline by {threshold.may_worsen_by:g}"
        why = "there is none" if baseline is None else "" if math.isfinite(baseline) else f"it is {metric(baseline)}"
        parts.append(f"{worse} ({why})" if why else worse)
    return ", ".join(parts)


def _gauge(name: str, value: float, baseline: float | None, bounds: tuple[float, float] | None) -> Gauge | None:
    if not math.isfinite(value):
        return None
    known = [each for each in (value, baseline, *(bounds or ())) if each is not None and math.isfinite(each)]
    end = {"log_loss": 1.25 * max(known), "calibration": max(2.0, 1.1 * max(known))}.get(name, 1.0) or 1.0

    def place(each: float) -> float:
        return min(1.0, max(0.0, each / end)) * 100

    allowed = (place(bounds[0]), place(bounds[1]) - place(bounds[0])) if bounds else None
    before = place(baseline) if baseline is not None and math.isfinite(baseline) else None
    return Gauge(place(value), before, allowed)
