"""Evaluator: scores the eval split with the exported model, has TFMA compute the metrics, and judges these.

The scores are made by `serving_default`, the signature that callers use. Each row is kept with its score, so that what
was judged can be compared, bit for bit, with what any server answers.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis import constants as tfma_constants
from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import artifact_utils, component_spec, standard_artifacts
from tfx.types.system_executions import Evaluate
from tfx.utils import path_utils

from modules.spec import EVAL, ROW_ID, Declaration
from modules.spec.evaluation import Threshold
from pipeline.components.log_loss import LogLoss
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
    "log_loss": LogLoss.__name__,
    "calibration": "Calibration",
}
"""Our names of the metrics and their classes, all but one TFMA's."""

MISSED_PROPERTY = "missed"
"""The blessing's property that says which thresholds were missed."""

LOWER_IS_BETTER = {"log_loss"}
"""The metrics, by our names, that get better as they fall."""

_BATCH_ROWS = 1024


def eval_config(declaration: Declaration, with_baseline: bool) -> tfma.EvalConfig:
    """What TFMA computes."""
    models = [tfma.ModelSpec(name=CANDIDATE, label_key=declaration.label.name, prediction_key=SCORE[CANDIDATE])]
    if with_baseline:
        models.append(
            tfma.ModelSpec(
                name=BASELINE, label_key=declaration.label.name, prediction_key=SCORE[BASELINE], is_baseline=True
            )
        )
    metrics = [tfma.MetricConfig(class_name="ExampleCount")]
    for name, class_name in METRICS.items():
        module = LogLoss.__module__ if class_name == LogLoss.__name__ else ""
        metrics.append(tfma.MetricConfig(class_name=class_name, module=module, config=f'"name": "{name}"'))
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


def read_metrics(evaluation: str, model: str) -> dict[tuple[tuple[str, str], ...], dict[str, float]]:
    """A model's metrics by slice, `()` being the whole eval split; NaN where one is undefined.

    Empty for the baseline where there was none.
    """
    result = tfma.load_eval_result(evaluation, model_name=model)
    if model == CANDIDATE and not result.slicing_metrics:  # TFMA drops the name of a model that is alone
        result = tfma.load_eval_result(evaluation, model_name="")
    return {
        tuple((str(column), str(value)) for column, value in key): {
            name: float(values[""][""][name]["doubleValue"]) for name in ("example_count", *METRICS)
        }
        for key, values in result.slicing_metrics
    }


def missed(name: str, threshold: Threshold, value: float, baseline: float | None) -> list[str]:
    """What a metric misses of its threshold, in words; nothing if it is met.

    A metric that is not finite meets no threshold, and none is compared with a baseline's that is not finite.

    Args:
      name: The metric.
      threshold: What the declaration asks of it.
      value: The candidate's.
      baseline: The last blessed model's, if there is one.
    """
    if not math.isfinite(value):
        return [f"{name} is {'undefined' if math.isnan(value) else 'infinite'}, which meets no threshold"]
    words = []
    low, high = threshold.at_least, threshold.at_most
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = [f"at least {low:g}" if low is not None else "", f"at most {high:g}" if high is not None else ""]
        words.append(f"{name} is {value:.6g}, and must be {' and '.join(filter(None, bounds))}")
    if threshold.may_worsen_by is not None and baseline is not None and math.isfinite(baseline):
        change = value - baseline
        if (change if name in LOWER_IS_BETTER else -change) > threshold.may_worsen_by:
            words.append(
                f"{name} changed by {change:+.6g} from the last blessed model's, "
                f"and may worsen by {threshold.may_worsen_by:g}"
            )
    return words


def missed_thresholds(
    metrics: Mapping[str, float], baseline: Mapping[str, float], declaration: Declaration
) -> list[str]:
    """What the candidate misses of all thresholds, in words.

    Args:
      metrics: The candidate's over the whole eval split.
      baseline: The last blessed model's, empty if there is none.
      declaration: Gives the thresholds.
    """
    return [
        words
        for name, threshold in declaration.evaluation.thresholds.items()
        for words in missed(name, threshold, metrics[name], baseline.get(name))
    ]


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
        judged = {name: read_metrics(evaluation.uri, name)[()] for name in models}
        misses = missed_thresholds(judged[CANDIDATE], judged.get(BASELINE, {}), declaration)
        blessed = not misses
        blessing.set_string_custom_property(MISSED_PROPERTY, "; ".join(misses))
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
