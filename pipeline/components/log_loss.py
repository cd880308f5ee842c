"""The log loss as a metric of TFMA: finite whatever the scores are."""

from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types, metric_util

_EPSILON = float(np.finfo(np.float32).eps)

_Sum = tuple[float, int]
"""Of the losses, and of how many rows."""


class LogLoss(metric_types.Metric):
    """The mean of -log(p) over rows with label 1 and of -log(1 - p) over the others, p being the score.

    A float32 score can round to exactly 0 or 1, where a logarithm is infinite; TFMA's own metric is then infinite too,
    or, by 0 * log(0), undefined. So p is first clipped to [eps, 1 - eps] with float32's machine epsilon, as
    `sklearn.metrics.log_loss` does with scores of that type:
    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.log_loss.html
    """

    def __init__(self, name: str) -> None:
        super().__init__(metric_util.merge_per_key_computations(_computations), name=name)


def _computations(name: str, eval_config: tfma.EvalConfig, model_name: str) -> metric_types.MetricComputations:
    key = metric_types.MetricKey(name=name, model_name=model_name)
    return [metric_types.MetricComputation(keys=[key], preprocessors=None, combiner=_Mean(key, eval_config))]


class _Mean(beam.CombineFn):
    def __init__(self, key: metric_types.MetricKey, config: tfma.EvalConfig) -> None:
        self._key = key
        self._config = config

    def create_accumulator(self) -> _Sum:
        return 0.0, 0

    def add_input(self, accumulator: _Sum, element: metric_types.StandardMetricInputs) -> _Sum:
        total, rows = accumulator
        for label, score, _ in metric_util.to_label_prediction_example_weight(
            element, eval_config=self._config, model_name=self._key.model_name
        ):
            clipped = np.clip(np.float64(score.item()), _EPSILON, 1 - _EPSILON)
            total -= float(np.log(clipped if label.item() else 1 - clipped))
            rows += 1
        return total, rows

    def merge_accumulators(self, accumulators: Iterable[_Sum]) -> _Sum:
        totals, rows = zip(*accumulators, strict=True)
        return sum(totals), sum(rows)

    def extract_output(self, accumulator: _Sum) -> metric_types.MetricsDict:
        total, rows = accumulator
        return {self._key: total / rows if rows else float("nan")}
