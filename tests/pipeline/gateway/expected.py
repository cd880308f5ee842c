"""What a gateway must answer, computed from the history by the kernel's batch and by the model in this process."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from modules.spec import Declaration
from pipeline.live.requests import canonical
from pipeline.serving.signature import ScoringModel
from tests.pipeline.gateway.shop import EVENTS
from tests.pipeline.live.filled import by_batch


def columns(declaration: Declaration, rows: Sequence[dict[str, Any]]) -> dict[str, pa.Array]:
    """The columns of rows, null where they have no value."""
    return {
        name: pa.array([row.get(name) for row in rows], canonical(column))
        for name, column in declaration.columns.items()
        if column.role in ("feature", "key")
    }


def live(declaration: Declaration, rows: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The live features of rows with a time, from the whole history; int64 or float64, shape (rows,)."""
    at = np.array([row["at"] for row in rows], np.int64)
    return {name: each.values for name, each in by_batch(declaration, EVENTS, columns(declaration, rows), at).items()}


def scores(
    declaration: Declaration, model: ScoringModel, rows: Sequence[dict[str, Any]], values: dict[str, np.ndarray]
) -> list[float]:
    """The scores of rows with these live features."""
    features = columns(declaration, rows) | {name: pa.array(each) for name, each in values.items()}
    found: list[float] = model.score(features).numpy().tolist()
    return found
