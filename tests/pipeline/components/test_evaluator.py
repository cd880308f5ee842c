"""What TFMA is asked, what is made of its answer, and which models can be compared."""

import dataclasses
from typing import Any

import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from google.protobuf import text_format
from tensorflow_model_analysis.proto import validation_result_pb2

from modules.spec import Declaration, load_declaration
from pipeline.components.evaluator import METRICS, _as_rows, comparable, eval_config, missed_thresholds
from tests.pipeline.cli.trips import DATASET


def declared(thresholds: str) -> Declaration:
    return load_declaration(DATASET / "features.yaml", [f"evaluation.thresholds={thresholds}"])


def metric(config: tfma.EvalConfig, name: str) -> tfma.MetricConfig:
    [found] = [metric for metric in config.metrics_specs[0].metrics if f'"{name}"' in metric.config]
    return found


def test_every_metric_is_asked_for_over_all_rows_and_each_slice() -> None:
    config = eval_config(declared("{auc: {at_least: 0.7}}"), with_baseline=False)
    assert [metric.class_name for metric in config.metrics_specs[0].metrics] == ["ExampleCount", *METRICS.values()]
    assert [list(spec.feature_keys) for spec in config.slicing_specs] == [[], ["payment_type"]]
    assert [model.name for model in config.model_specs] == ["candidate"]


@pytest.mark.parametrize(
    ("threshold", "lower", "upper"),
    [
        ("at_least: 0.7", 0.7, None),
        ("at_most: 0.9", None, 0.9),
        ("at_least: 0.0", 0.0, None),  # zero is a bound, and not the absence of one
        ("at_least: 0.7, at_most: 0.9", 0.7, 0.9),
    ],
)
def test_bounds(threshold: str, lower: float | None, upper: float | None) -> None:
    [over_all] = metric(
        eval_config(declared(f"{{auc: {{{threshold}}}}}"), with_baseline=False), "auc"
    ).per_slice_thresholds
    value = over_all.threshold.value_threshold
    assert (value.lower_bound.value if value.HasField("lower_bound") else None) == lower
    assert (value.upper_bound.value if value.HasField("upper_bound") else None) == upper
    assert not over_all.threshold.HasField("change_threshold")
    assert list(over_all.slicing_specs) == [tfma.SlicingSpec()]


@pytest.mark.parametrize(
    ("name", "direction", "absolute"),
    [
        ("auc", tfma.MetricDirection.HIGHER_IS_BETTER, -0.01),  # may fall
        ("log_loss", tfma.MetricDirection.LOWER_IS_BETTER, 0.01),  # may rise
    ],
)
def test_may_worsen_by(name: str, direction: int, absolute: float) -> None:
    declaration = declared(f"{{{name}: {{may_worsen_by: 0.01}}}}")
    [over_all] = metric(eval_config(declaration, with_baseline=True), name).per_slice_thresholds
    assert over_all.threshold.change_threshold.direction == direction
    assert over_all.threshold.change_threshold.absolute.value == absolute
    [alone] = metric(eval_config(declaration, with_baseline=False), name).per_slice_thresholds
    assert not alone.threshold.HasField("change_threshold")  # there is nothing to be worse than


def result(text: str) -> validation_result_pb2.ValidationResult:
    return text_format.Parse(text, validation_result_pb2.ValidationResult())


def per_slice(*failures: str) -> str:
    return f"metric_validations_per_slice {{ {' '.join(failures)} }}"


def failure(key: str, value: float) -> str:
    return f"failures {{ metric_key {{ {key} }} metric_value {{ double_value {{ value: {value} }} }} }}"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("validation_ok: true", []),
        (
            per_slice(failure("name: 'auc'", 0.65)),
            ["auc is 0.65, and must be at least 0.7"],
        ),
        (
            per_slice(failure("name: 'calibration'", 2), failure("name: 'auc'", 0.1)),
            ["calibration is 2, and must be at least 0.8 and at most 1.25", "auc is 0.1, and must be at least 0.7"],
        ),
        (
            per_slice(failure("name: 'auc' is_diff: true", -0.25)),
            ["auc changed by -0.25 from the last blessed model's, and may worsen by 0.01"],
        ),
    ],
)
def test_missed_thresholds(answer: str, expected: list[str]) -> None:
    declaration = declared("{auc: {at_least: 0.7, may_worsen_by: 0.01}, calibration: {at_least: 0.8, at_most: 1.25}}")
    assert missed_thresholds(result(answer), declaration) == expected


def test_a_blessing_that_is_withheld_without_a_reason_is_withheld() -> None:
    [missed] = missed_thresholds(result("validation_ok: false"), declared("{auc: {at_least: 0.7}}"))
    assert missed.startswith("TFMA withheld its blessing")


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
