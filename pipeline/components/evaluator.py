"""Evaluator: scores the eval split with the exported model, and has TFMA judge the scores.

The scores are made by `serving_default`, the signature that callers use. Each row is kept with its score, so that what
was judged can be compared, bit for bit, with what any server answers.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis import constants as tfma_constants
from tensorflow_model_analysis.proto import validation_result_pb2
from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import artifact_utils, component_spec, standard_artifacts
from tfx.types.system_executions import Evaluate
from tfx.utils import path_utils

from modules.spec import EVAL, ROW_ID, Declaration
from pipeline.components.reach import within_reach
from pipeline.ingest.examples import example_files, example_types, read_examples, values_of
from pipeline.ingest.files import at_hand, create_file
from pipeline.serving.signature import ScoringModel, Signature

SCORES_DIR = "scores"
"""In the evaluation's directory, Parquet files, one row an example: row_id, the label, score, baseline_score (if there
is a baseline), and the slices' columns."""

CANDIDATE, BASELINE = "candidate", "baseline"
SCORE = {CANDIDATE: "score", BASELINE: "baseline_score"}
METRICS = {
    "auc": "AUC",
    "precision": "Precision",
    "recall": "Recall",
    "accuracy": "BinaryAccuracy",
    "log_loss": "BinaryCrossEntropy",
    "calibration": "Calibration",
}
"""Our names of the metrics and TFMA's classes."""

MISSED_PROPERTY = "missed"
"""The blessing's property that says which thresholds were missed."""

LOWER_IS_BETTER = {"log_loss"}
"""The metrics, by our names, that get better as they fall."""

_BATCH_ROWS = 1024


def eval_config(declaration: Declaration, with_baseline: bool) -> tfma.EvalConfig:
    """What TFMA computes and what it holds the model to."""
    models = [tfma.ModelSpec(name=CANDIDATE, label_key=declaration.label.name, prediction_key=SCORE[CANDIDATE])]
    if with_baseline:
        models.append(
            tfma.ModelSpec(
                name=BASELINE, label_key=declaration.label.name, prediction_key=SCORE[BASELINE], is_baseline=True
            )
        )
    metrics = [tfma.MetricConfig(class_name="ExampleCount")]
    for name, class_name in METRICS.items():
        metric = tfma.MetricConfig(class_name=class_name, config=f'"name": "{name}"')
        if threshold := declaration.evaluation.thresholds.get(name):  # type: ignore[call-overload]
            over_all = metric.per_slice_thresholds.add(slicing_specs=[tfma.SlicingSpec()])
            value, change = over_all.threshold.value_threshold, over_all.threshold.change_threshold
            if threshold.at_least is not None:
                value.lower_bound.value = threshold.at_least
            if threshold.at_most is not None:
                value.upper_bound.value = threshold.at_most
            if threshold.may_worsen_by is not None and with_baseline:
                lower = name in LOWER_IS_BETTER
                change.direction = (
                    tfma.MetricDirection.LOWER_IS_BETTER if lower else tfma.MetricDirection.HIGHER_IS_BETTER
                )
                change.absolute.value = threshold.may_worsen_by if lower else -threshold.may_worsen_by
        metrics.append(metric)
    slices = [tfma.SlicingSpec(), *(tfma.SlicingSpec(feature_keys=[name]) for name in declaration.evaluation.slices)]
    return tfma.EvalConfig(model_specs=models, metrics_specs=[tfma.MetricsSpec(metrics=metrics)], slicing_specs=slices)


@dataclasses.dataclass(eq=False)
class _Score(beam.DoFn):
    """Path of a Parquet file of examples -> RecordBatches with label, scores and slices; written to `scores` too."""

    declaration: Declaration
    models: dict[str, str]
    scores: str

    def setup(self) -> None:
        self._loaded = {}
        for name, place in self.models.items():
            with at_hand(place) as directory:
                self._loaded[name] = ScoringModel(directory)

    def process(self, path: str) -> Iterator[pa.RecordBatch]:
        with contextlib.ExitStack() as opened:
            writer = None
            for batch in read_examples(path, list(example_types(self.declaration)), self.declaration, _BATCH_ROWS):
                columns = self._columns(batch)
                table = pa.RecordBatch.from_pydict(columns)
                if writer is None:
                    file = opened.enter_context(create_file(f"{self.scores}/{path.rpartition('/')[2]}"))
                    writer = opened.enter_context(pq.ParquetWriter(file, table.schema))
                writer.write_batch(table)
                del columns[ROW_ID]
                yield pa.RecordBatch.from_pydict({name: _as_rows(values) for name, values in columns.items()})

    def _columns(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        names = [ROW_ID, self.declaration.label.name, *self.declaration.evaluation.slices]
        columns = {name: values_of(batch, name) for name in names}
        features = {name: values_of(batch, name) for name in self.declaration.features}
        for name, model in self._loaded.items():
            columns[SCORE[name]] = pa.array(model.score(features).numpy(), pa.float32())
        return columns


def _as_rows(values: pa.Array) -> pa.Array:
    """The form in which TFMA reads a column: one list a row, empty where the value is missing."""
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    offsets = pa.array([0, *valid.cumsum()], pa.int64())
    return pa.LargeListArray.from_arrays(offsets, values.drop_null())


def missed_thresholds(result: validation_result_pb2.ValidationResult, declaration: Declaration) -> list[str]:
    """Which thresholds the candidate missed, each with the value that it has."""
    missed = []
    for validations in result.metric_validations_per_slice:
        for failure in validations.failures:
            name, value = failure.metric_key.name, failure.metric_value.double_value.value
            threshold = declaration.evaluation.thresholds[name]
            if failure.metric_key.is_diff:
                missed.append(
                    f"{name} changed by {value:+.6g} from the last blessed model's, "
                    f"and may worsen by {threshold.may_worsen_by:g}"
                )
            else:
                bounds = [f"at least {threshold.at_least:g}" if threshold.at_least is not None else "",
                          f"at most {threshold.at_most:g}" if threshold.at_most is not None else ""]  # fmt: skip
                missed.append(f"{name} is {value:.6g}, and must be {' and '.join(filter(None, bounds))}")
    if not result.validation_ok and not missed:
        missed.append(f"TFMA withheld its blessing: {result}")
    return missed


def comparable(baseline: Signature, candidate: Signature) -> bool:
    """Whether the baseline can score the candidate's examples: it needs no other feature, and of the same dtypes."""
    return baseline.features.items() <= candidate.features.items() and baseline.required <= candidate.required


class EvaluatorSpec(component_spec.ComponentSpec):
    PARAMETERS = {"declaration": component_spec.ExecutionParameter(type=str)}
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "baseline_model": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
    }
    TYPE_ANNOTATION = Evaluate


class Executor(base_beam_executor.BaseBeamExecutor):
    """Scores, judges, and blesses or does not."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        declaration = Declaration.model_validate_json(exec_properties["declaration"])
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        model = artifact_utils.get_single_instance(input_dict["model"])
        evaluation = artifact_utils.get_single_instance(output_dict["evaluation"])
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        models = {CANDIDATE: path_utils.serving_model_path(model.uri)}
        baselines = input_dict.get("baseline_model") or []
        if baselines:
            baseline = path_utils.serving_model_path(baselines[0].uri)
            if comparable(Signature(baseline), Signature(models[CANDIDATE])):
                models[BASELINE] = baseline
        config = eval_config(declaration, with_baseline=BASELINE in models)
        inputs = [examples.uri, *models.values()]
        with (
            within_reach(self._beam_pipeline_args, inputs, [evaluation.uri]) as (found, *places, directory),
            self._make_beam_pipeline() as pipeline,
        ):
            there = dict(zip(models, places, strict=True))
            _ = (
                pipeline
                | "Files" >> beam.Create([path for _, path in example_files(found, (EVAL,))])
                | "Score" >> beam.ParDo(_Score(declaration, there, f"{directory}/{SCORES_DIR}"))
                | "Judge"
                >> tfma.ExtractEvaluateAndWriteResults(
                    eval_config=config, eval_shared_model=_scored_models(there), output_path=directory
                )
            )
        missed = missed_thresholds(tfma.load_validation_result(evaluation.uri), declaration)
        blessed = not missed
        blessing.set_string_custom_property(MISSED_PROPERTY, "; ".join(missed))
        Path(blessing.uri, constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME).touch()
        blessing.set_int_custom_property(
            constants.ARTIFACT_PROPERTY_BLESSED_KEY, constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE
        )
        blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri)
        blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
        if BASELINE in models:
            blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baselines[0].uri)
            blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baselines[0].id)


def _scored_models(models: dict[str, str]) -> list[tfma.EvalSharedModel]:
    """The models as TFMA has to know them: their scores are there already, and it loads none of them."""
    return [
        tfma.EvalSharedModel(
            model_path=path,
            model_name=name,
            model_type=tfma_constants.MATERIALIZED_PREDICTION,
            is_baseline=name == BASELINE,
        )
        for name, path in models.items()
    ]


class Evaluator(base_beam_component.BaseBeamComponent):
    """Judges the exported model on the eval split, beside the last blessed one where there is one."""

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel | None,
        declaration: Declaration,
    ) -> None:
        super().__init__(
            EvaluatorSpec(
                examples=examples,
                model=model,
                baseline_model=baseline_model,
                declaration=declaration.only("evaluation").model_dump_json(),
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
            )
        )
