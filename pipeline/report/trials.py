"""The Tuner's trials."""

import dataclasses
import json
import math
from pathlib import Path

from tfx.types import artifact_utils

from pipeline.orchestration.local_runner import Outputs
from pipeline.report.numbers import metric, number

RESULTS_FILE = "tuner_results.json"
"""TFX's name: one object a trial, with trial_id, score and the hyperparameters' values."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One set of hyperparameters."""

    place: int
    values: tuple[str, ...]
    loss: str
    width: float
    """Of its loss, in percent of the largest."""


@dataclasses.dataclass(frozen=True)
class Trials:
    """All of them, the best first."""

    hyperparameters: tuple[str, ...]
    trials: tuple[Trial, ...]


def trials(outputs: Outputs | None) -> Trials | None:
    """Reads the trials; None if no Tuner ran."""
    if outputs is None:
        return None
    results = json.loads(Path(artifact_utils.get_single_uri(outputs["tuner_results"]), RESULTS_FILE).read_text())
    names = tuple(dict.fromkeys(name for result in results for name in result if name not in ("trial_id", "score")))
    ranked = sorted(results, key=lambda result: result["score"])
    most = max((result["score"] for result in ranked if math.isfinite(result["score"])), default=0.0) or 1.0
    return Trials(
        hyperparameters=tuple(name.replace("_", " ") for name in names),
        trials=tuple(
            Trial(
                place=place,
                values=tuple(_text(result.get(name)) for name in names),
                loss=metric(result["score"]),
                width=min(100.0, result["score"] / most * 100) if math.isfinite(result["score"]) else 0.0,
            )
            for place, result in enumerate(ranked, 1)
        ),
    )


def _text(value: object) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number(value)
    return "" if value is None else str(value)
