"""What TFMA is asked, what is made of its answer, and which models can be compared."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma

from modules.spec import Declaration, load_declaration
from pipeline.components.evaluator import (
    METRICS,
    _as_rows,
    _scored_models,
    comparable,
    eval_config,
    missed_thresholds,
    read_metrics,
)
from tests.artifacts import taxi
from tests.pipeline.cli.trips import DATASET


def declared(thresholds: str) -> Declaration:
    return load_declaration(DATASET / "features.yaml", [f"evaluation.thresholds={thresholds}"])


def test_every_metric_is_asked_for_over_all_rows_and_each_slice() -> None:
    config = eval_config(declared("{auc: {at_least: 0.7}}"), with_baseline=False)
    assert [metric.class_name for metric in config.metrics_specs[0].metrics] == ["ExampleCount", *METRICS.values()]
    assert [list(spec.feature_keys) for spec in config.slicing_specs] == [[], ["payment_type"]]
    assert [model.name for model in config.model_specs] == ["candidate"]


VALUES = {"auc": 0.75, "precision": 0.5, "recall": 1.0, "accuracy": 0.8, "log_loss": 0.5, "calibration": 1.0}


@pytest.mark.parametrize(
    ("thresholds", "changed", "expected"),
    [
        ("{auc: {at_least: 0.75}, log_loss: {at_most: 0.5}}", {}, []),  # the bound itself is met
        ("{auc: {at_least: 0.7}}", {"auc": 0.65}, ["auc is 0.65, and must be at least 0.7"]),
        ("{auc: {at_most: 0.0}}", {}, ["auc is 0.75, and must be at most 0"]),  # zero is a bound
        (
            "{calibration: {at_least: 0.8, at_most: 1.25}, auc: {at_least: 0.7}}",
            {"calibration": 2.0, "auc": 0.1},
            ["calibration is 2, and must be at least 0.8 and at most 1.25", "auc is 0.1, and must be at least 0.7"],
        ),
        ("{precision: {at_least: 0.0}}", {"precision": math.nan}, ["precision is undefined, which meets no threshold"]),
        ("{calibration: {at_least: 0.5}}", {"calibration": math.inf}, ["calibration is infinite, which meets no thresh"
         "old"]),
        ("{auc: {at_least: 0.7}}", {"precision": math.nan}, []),  # nothing is asked of it
    ],
)  # fmt: skip
def test_missed_thresholds(thresholds: str, changed: dict[str, float], expected: list[str]) -> None:
    assert missed_thresholds(VALUES | changed, {}, declared(thresholds)) == expected


@pytest.mark.parametrize(
    ("name", "baseline", "expected"),
    [
        ("auc", 0.875, ["auc changed by -0.125 from the last blessed model's, and may worsen by 0.0625"]),
        ("auc", 0.8125, []),
        ("auc", 0.1, []),
        ("log_loss", 0.375, ["log_loss changed by +0.125 from the last blessed model's, and may worsen by 0.0625"]),
        ("log_loss", 0.4375, []),
        ("log_loss", 0.9, []),
        ("log_loss", None, []),  # there is nothing to be worse than
        ("log_loss", math.nan, []),
        ("log_loss", math.inf, []),
    ],
)
def test_may_worsen_by(name: str, baseline: float | None, expected: list[str]) -> None:
    before = {} if baseline is None else VALUES | {name: baseline}
    assert missed_thresholds(VALUES, before, declared(f"{{{name}: {{may_worsen_by: 0.0625}}}}")) == expected


def test_the_log_loss_of_scores_of_0_and_1_is_finite(tmp_path: Path) -> None:
    labels, scores = [0, 1, 0, 1, 0, 1], [0.0, 1.0, 1.0, 0.0, 0.25, 0.75]
    name = taxi().label.name
    batch = pa.RecordBatch.from_pydict(
        {
            name: _as_rows(pa.array(labels)),
            "score": _as_rows(pa.array(scores, pa.float32())),
            "baseline_score": _as_rows(pa.array([0.25] * len(labels), pa.float32())),
            "payment_type": _as_rows(pa.array([b"Cash"] * len(labels), pa.large_binary())),
        }
    )
    models = {"candidate": str(tmp_path), "baseline": str(tmp_path)}
    with beam.Pipeline() as pipeline:
        _ = (
            pipeline
            | beam.Create([batch])
            | tfma.ExtractEvaluateAndWriteResults(
                eval_config=eval_config(taxi(), with_baseline=True),
                eval_shared_model=_scored_models(models),
                output_path=str(tmp_path),
            )
        )
    epsilon = 2**-23
    right, wrong = -math.log1p(-epsilon), -math.log(epsilon)
    expected = (2 * right + 2 * wrong - 2 * math.log(0.75)) / 6
    found = read_metrics(str(tmp_path), "candidate")
    assert [each["log_loss"] for each in found.values()] == pytest.approx([expected, expected], rel=1e-7)
    before = read_metrics(str(tmp_path), "baseline")[()]
    assert before["log_loss"] == pytest.approx((-math.log(0.75) - math.log(0.25)) / 2)


@dataclasses.dataclass(frozen=True)
class Model:
    """As much of a ScoringModel as is compared."""

    features: dict[str, tf.DType]
    required: set[str]


CANDIDATE = Model({"fare": tf.float32, "company": tf.string}, {"fare"})


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        (CANDIDATE, True),
        (Model({"fare": tf.float32}, {"fare"}), True),  # needs less
        (Model({"fare": tf.float32, "company": tf.string}, set()), True),  # takes rows without it, and there are none
        (Model({"fare": tf.float32, "miles": tf.float32}, {"fare"}), False),  # needs what the examples do not have
        (Model({"fare": tf.int64, "company": tf.string}, {"fare"}), False),  # a feature of another type
        (Model({"fare": tf.float32, "company": tf.string}, {"fare", "company"}), False),  # cannot do without
    ],
)
def test_comparable(baseline: Any, expected: bool) -> None:
    assert comparable(baseline, CANDIDATE) is expected  # type: ignore[arg-type]


def test_columns_in_the_form_that_tfma_reads() -> None:
    assert _as_rows(pa.array([1, None, 3])).to_pylist() == [[1], [], [3]]
    assert _as_rows(pa.array([None, None], pa.string())).to_pylist() == [[], []]
