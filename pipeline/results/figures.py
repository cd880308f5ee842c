"""The figure that matters, one component a function: read from what it left behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import tensorflow_transform as tft
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx.components.evaluator.constants import ARTIFACT_PROPERTY_BLESSED_KEY, BLESSED_VALUE
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from modules.paired import Pair, compare
from modules.spec import EVAL, SPLITS, Declaration
from modules.trainer import HISTORY_FILE
from pipeline.components.ablation import read_pairs
from pipeline.components.evaluator import BASELINE, CANDIDATE, METRICS, read_metrics
from pipeline.components.example_gen import read_summary
from pipeline.components.parity_gate import read_checks
from pipeline.components.pusher import VERSION_PROPERTY
from pipeline.curated_schema import differences
from pipeline.ingest.examples import values_of
from pipeline.ingest.ingest import Summary
from pipeline.orchestration.local_runner import Finished, Outputs
from pipeline.parity.check import Check
from pipeline.results.ablation import phrase


def figure(finished: Finished, before: dict[str, Outputs]) -> str:
    """One phrase for a component's line.

    Args:
      finished: The component.
      before: What the components before it left behind.
    """
    words = _FIGURES[finished.name](finished.outputs)
    if finished.name == "SchemaGen" and "CuratedSchema" in before:
        curated = read_schema_artifact(before["CuratedSchema"])
        different = differences(read_schema_artifact(finished.outputs), curated)
        return f"{words}, {len(different)} of them curated otherwise"
    had_baseline = finished.name == "Evaluator" and before["Baseline"].get("baseline_model")
    if had_baseline and not sliced_metrics(finished.outputs, BASELINE):
        return f"{words}; not compared with the last blessed model, which takes other features"
    return words


def read(outputs: Outputs) -> Summary:
    """What ExampleGen read."""
    return read_summary(_uri(outputs, "examples"))


def pairs(outputs: Outputs) -> list[Pair]:
    """The Ablation's metrics, one entry a seed."""
    return read_pairs(_uri(outputs, "ablation"))


def checks(outputs: Outputs) -> tuple[Check, ...]:
    """What the parity gate compared."""
    return read_checks(_uri(outputs, "blessing"))


def example(outputs: Outputs, declaration: Declaration) -> dict[str, float | int | str]:
    """What a request would hold for the first row of the eval split, floats with no more digits than float32 needs.

    Live features are left out: they are looked up.
    """
    names = [name for name in declaration.features if name not in declaration.live_features]
    path = next(Path(_uri(outputs, "examples"), f"Split-{EVAL}").iterdir())
    batch = next(pq.ParquetFile(path).iter_batches(batch_size=1, columns=names))
    row = {name: values_of(batch, name)[0].as_py() for name in names}
    return {
        name: value.decode()
        if isinstance(value, bytes)
        else float(str(np.float32(value)))
        if isinstance(value, float)
        else value
        for name, value in row.items()
        if value is not None
    }


def sliced_metrics(outputs: Outputs, model: str = CANDIDATE) -> dict[tuple[tuple[str, str], ...], dict[str, float]]:
    """A model's metrics by slice, see `read_metrics`."""
    return read_metrics(_uri(outputs, "evaluation"), model)


def metrics(outputs: Outputs) -> dict[str, float]:
    """The Evaluator's metrics of the candidate over the whole eval split, by our names."""
    whole = sliced_metrics(outputs)[()]
    return {name: whole[name] for name in METRICS}


def statistics(outputs: Outputs) -> list[statistics_pb2.DatasetFeatureStatisticsList]:
    """StatisticsGen's statistics, one entry a split."""
    return [stats_artifact_utils.load_statistics(outputs["statistics"][0], split).proto() for split in SPLITS]


def history(outputs: Outputs) -> list[dict[str, float]]:
    """The learning curves, see `modules/trainer.py`."""
    return json.loads(Path(_uri(outputs, "model_run"), HISTORY_FILE).read_text())


def read_schema_artifact(outputs: Outputs) -> schema_pb2.Schema:
    return io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(_uri(outputs, "schema")))


def _uri(outputs: Outputs, key: str) -> str:
    return artifact_utils.get_single_uri(outputs[key])


def _examples(outputs: Outputs) -> str:
    counts = read(outputs).rows
    return f"{sum(counts.values()):,} rows: " + ", ".join(f"{counts[split]:,} {split}" for split in SPLITS)


def _statistics(outputs: Outputs) -> str:
    return f"{len(statistics(outputs)[0].datasets[0].features)} columns"


def _schema(outputs: Outputs) -> str:
    return f"{len(read_schema_artifact(outputs).feature)} columns"


def _transform(outputs: Outputs) -> str:
    graph = tft.TFTransformOutput(_uri(outputs, "transform_graph"))
    return f"{len(graph.transformed_metadata.schema.feature)} model inputs"


def _tuner(outputs: Outputs) -> str:
    trials = json.loads(Path(_uri(outputs, "tuner_results"), "tuner_results.json").read_text())
    return f"{len(trials)} trials, best validation loss {min(trial['score'] for trial in trials):.4f}"


def _ablation(outputs: Outputs) -> str:
    return phrase(compare(pairs(outputs)))


def _trainer(outputs: Outputs) -> str:
    looks = history(outputs)
    best = min(looks, key=lambda look: look["val_loss"])
    return f"{looks[-1]['step']:.0f} steps, best validation loss {best['val_loss']:.4f} at step {best['step']:.0f}"


def _parity_gate(outputs: Outputs) -> str:
    found = checks(outputs)
    failed = [f"{check.name}: {check.sentence}" for check in found if not check.passed]
    compared = f"{len(found)} checks, {sum(check.compared for check in found):,} values"
    return "; ".join(failed) if failed else f"{compared}, none differs"


def _baseline(outputs: Outputs) -> str:
    return "the last blessed model" if outputs.get("baseline_model") else "no earlier model"


def _evaluator(outputs: Outputs) -> str:
    found = metrics(outputs)
    blessed = outputs["blessing"][0].get_int_custom_property(ARTIFACT_PROPERTY_BLESSED_KEY) == BLESSED_VALUE
    return f"AUC {found['auc']:.4f}, log loss {found['log_loss']:.4f}, {'blessed' if blessed else 'not blessed'}"


def trained_model(outputs: Outputs) -> str:
    """Where the Trainer left the model that is served once it is pushed."""
    return path_utils.serving_model_path(_uri(outputs, "model"))


def pushed_version(outputs: Outputs) -> int:
    return int(outputs["pushed_model"][0].get_string_custom_property(VERSION_PROPERTY))


_FIGURES: dict[str, Callable[[Any], str]] = {
    "ExampleGen": _examples,
    "StatisticsGen": _statistics,
    "SchemaGen": _schema,
    "CuratedSchema": _schema,
    "ExampleValidator": lambda outputs: "no anomalies",
    "Transform": _transform,
    "Tuner": _tuner,
    "Ablation": _ablation,
    "Trainer": _trainer,
    "Baseline": _baseline,
    "Evaluator": _evaluator,
    "ParityGate": _parity_gate,
    "Pusher": lambda outputs: f"version {pushed_version(outputs)}",
}
