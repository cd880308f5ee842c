"""A run without a pipeline: the artifacts that the report reads, made from a few rows by TFDV and TFMA themselves."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow_model_analysis as tfma
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx import types
from tfx.components.evaluator.constants import ARTIFACT_PROPERTY_BLESSED_KEY, BLESSED_VALUE
from tfx.types import artifact_utils, standard_artifacts

from tensorflow_data_validation.statistics import stats_impl, stats_options  # isort: skip  (after tfx)

from modules.paired import Pair, compare
from modules.spec import EVAL, SPLITS, TRAIN, Declaration
from pipeline.components.ablation import PAIRS_FILE, AblationResult
from pipeline.components.evaluator import BASELINE, CANDIDATE, MISSED_PROPERTY, SCORE, eval_config
from pipeline.orchestration.local_runner import Outputs
from pipeline.orchestration.pipeline import DIRECT_RUNNER
from pipeline.parity.check import Check
from pipeline.results.record import ComponentRecord, RunRecord

HOSTILE = "<script>alert('x')</script>"
"""A column's name and one of its values."""

VALUES = (HOSTILE, "\u202eright to left", "long " * 2000, "\u8336", "", '"><img src=x onerror=alert(1)>')


@dataclasses.dataclass(frozen=True)
class SmallRun:
    """What `write_report` is given."""

    record: RunRecord
    declaration: Declaration
    outputs: dict[str, Outputs]


def declaration() -> Declaration:
    """One feature, and a key that is named with ill intent."""
    fields = {
        "dataset": "tiny",
        "data": f"/data/{HOSTILE}.csv",
        "columns": {
            "amount": {"type": "float", "role": "feature", "transform": {"name": "scale"}, "missing": "mean"},
            HOSTILE: {"type": "string", "role": "key"},
            "clicked": {"type": "bool", "role": "label"},
        },
        "label": {"name": "clicked", "column": "clicked"},
        "split": {"by": "hash", "key": HOSTILE, "validation": 0.1, "eval": 0.2},
        "evaluation": {"slices": [HOSTILE], "thresholds": {"auc": {"at_least": 0.1, "may_worsen_by": 0.9}}},
    }
    return Declaration.model_validate_json(json.dumps(fields))


def make_run(
    path: Path,
    history: Sequence[dict[str, float]],
    with_baseline: bool = False,
    trials: Sequence[dict[str, float]] = (),
    cached: bool = False,
    anomaly: str = "",
    pairs: Sequence[Pair] = (),
) -> SmallRun:
    """Makes the artifacts below `path`. In the eval split the feature has no value at all.

    With `pairs` of an ablation the record tells of a live feature, and of events that do not count.
    """
    declared = declaration()
    rows: dict[str, dict[str, list[object]]] = {
        TRAIN: {"amount": [1.0, 2.0, 2.0, 3.5, None, 9.0], HOSTILE: list(VALUES), "clicked": [0, 1, 0, 1, 0, 1]},
        EVAL: {"amount": [None] * 6, HOSTILE: [HOSTILE, *[VALUES[3]] * 5], "clicked": [1, 0, 1, 0, 1, 0]},
    }
    names = [*SPLITS]
    outputs: dict[str, Outputs] = {
        "StatisticsGen": {"statistics": [_statistics(path / "statistics", rows)]},
        "SchemaGen": {"schema": [_schema(path / "inferred", "amount", "clicked")]},
        "CuratedSchema": {"schema": [_schema(path / "curated", "amount")]},
        "ExampleValidator": {"anomalies": [_anomalies(path / "anomalies", names, anomaly)]},
        "Trainer": {"model_run": [_written(standard_artifacts.ModelRun, path / "run", "history.json", history)]},
        "Evaluator": _evaluation(path / "evaluation", rows[EVAL], declared, with_baseline),
    }
    if trials:
        tuned = _written(standard_artifacts.TunerResults, path / "tuner", "tuner_results.json", trials)
        outputs["Tuner"] = {"tuner_results": [tuned]}
    if pairs:
        written = [dataclasses.asdict(pair) for pair in pairs]
        outputs["Ablation"] = {"ablation": [_written(AblationResult, path / "ablation", PAIRS_FILE, written)]}
    ran = ("ExampleGen", "StatisticsGen", "SchemaGen", "Transform", *(["Tuner"] if trials else []), "Trainer")
    record = RunRecord(
        run_id="2026-01-02T03-04-05.000006Z",
        dataset="tiny",
        digest="d" * 64,
        data=declared.data,
        content="c" * 64,
        code="e" * 64,
        declaration=declared.fingerprint,
        seed=1,
        version=7,
        model="build/serving_model/tiny/7",
        rows={"train": 6, "validation": 1, "eval": 6},
        live_features=1 if pairs else 0,
        events={HOSTILE: 9} if pairs else {},
        not_counted=(f"{HOSTILE}, 1 event (late)",) if pairs else (),
        ablation=compare(pairs) if pairs else (),
        parity=(Check("scores", True, 1200, 0, f"1,200 values of {HOSTILE} compared, none differs."),),
        metrics={
            "auc": 0.75,
            "precision": 0.5,
            "recall": 0.5,
            "accuracy": 0.5,
            "log_loss": 0.6,
            "calibration": 1.0,
        },
        example={},
        seconds=0.0 if cached else 12.0,
        components=tuple(
            ComponentRecord(name=name, seconds=0.0 if cached else 2.0, cached=cached, figure=HOSTILE) for name in ran
        ),
    )
    return SmallRun(record, declared, outputs)


def _artifact(kind: type[types.Artifact], path: Path) -> types.Artifact:
    path.mkdir(parents=True, exist_ok=True)
    artifact = kind()
    artifact.uri = str(path)
    return artifact


def _written(kind: type[types.Artifact], path: Path, name: str, content: object) -> types.Artifact:
    artifact = _artifact(kind, path)
    (path / name).write_text(json.dumps(content))
    return artifact


def _schema(path: Path, *names: str) -> types.Artifact:
    artifact = _artifact(standard_artifacts.Schema, path)
    schema = schema_pb2.Schema(feature=[schema_pb2.Feature(name=name, type=schema_pb2.FLOAT) for name in names])
    (path / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    return artifact


def _anomalies(path: Path, splits: list[str], description: str) -> types.Artifact:
    artifact = _artifact(standard_artifacts.ExampleAnomalies, path)
    artifact.split_names = artifact_utils.encode_split_names(splits)
    for split in splits:
        found = anomalies_pb2.Anomalies()
        if description:
            found.anomaly_info[HOSTILE].description = description
        (path / f"Split-{split}").mkdir()
        (path / f"Split-{split}" / "SchemaDiff.pb").write_bytes(found.SerializeToString())
    return artifact


def as_examples(rows: dict[str, list[object]]) -> pa.RecordBatch:
    """Columns as ExampleGen writes them."""
    inner = {"amount": pa.float32(), "row_id": pa.large_binary(), HOSTILE: pa.large_binary()}
    return pa.RecordBatch.from_pydict(
        {
            name: pa.array([None if value is None else [value] for value in values],
                           pa.large_list(inner.get(name, pa.int64())))
            for name, values in rows.items()
        }
    )  # fmt: skip


def statistics(rows: dict[str, list[object]]) -> statistics_pb2.DatasetFeatureStatisticsList:
    """TFDV's of one split."""
    return stats_impl.generate_statistics_in_memory(as_examples(rows), stats_options.StatsOptions())


def _statistics(path: Path, rows: dict[str, dict[str, list[object]]]) -> types.Artifact:
    artifact = _artifact(standard_artifacts.ExampleStatistics, path)
    artifact.split_names = artifact_utils.encode_split_names(list(SPLITS))
    for split in SPLITS:
        (path / f"Split-{split}").mkdir()
        made = statistics(rows.get(split, rows[TRAIN]))
        (path / f"Split-{split}" / "FeatureStats.pb").write_bytes(made.SerializeToString())
    return artifact


def _evaluation(path: Path, rows: dict[str, list[object]], declared: Declaration, with_baseline: bool) -> Outputs:
    evaluation = _artifact(standard_artifacts.ModelEvaluation, path)
    names = {CANDIDATE: [0.9, 0.2, 0.6, 0.7, 0.4, 0.1], **({BASELINE: [0.5] * 6} if with_baseline else {})}
    columns = {
        HOSTILE: pa.array([str(value).encode() for value in rows[HOSTILE]], pa.large_binary()),
        "clicked": pa.array(rows["clicked"], pa.int64()),
        **{SCORE[name]: pa.array(scores, pa.float32()) for name, scores in names.items()},
    }
    (path / "scores").mkdir()
    pq.write_table(pa.table(columns), path / "scores" / "examples.parquet")
    batch = pa.RecordBatch.from_pydict(
        {name: pa.LargeListArray.from_arrays(list(range(len(values) + 1)), values) for name, values in columns.items()}
    )
    models = [
        tfma.EvalSharedModel(model_name=name, model_type="materialized_prediction", is_baseline=name == BASELINE)
        for name in names
    ]
    with beam.Pipeline(argv=list(DIRECT_RUNNER)) as pipeline:
        _ = (
            pipeline
            | beam.Create([batch])
            | tfma.ExtractEvaluateAndWriteResults(
                eval_config=eval_config(declared, with_baseline), eval_shared_model=models, output_path=str(path)
            )
        )
    blessing = standard_artifacts.ModelBlessing()
    blessing.set_int_custom_property(ARTIFACT_PROPERTY_BLESSED_KEY, BLESSED_VALUE)
    blessing.set_string_custom_property(MISSED_PROPERTY, "")
    return {"evaluation": [evaluation], "blessing": [blessing]}
