"""The Evaluator's score of each row of the eval split."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modules.spec import Declaration
from pipeline.components.evaluator import BASELINE, CANDIDATE, SCORE, SCORES_DIR

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Classes:
    """How many rows of a slice have each label."""

    positives: int
    rows: int

    @property
    def both(self) -> bool:
        """Whether the slice has rows of both classes."""
        return 0 < self.positives < self.rows


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """One entry a row, in any order."""

    labels: Flags
    candidate: Floats
    baseline: Floats | None
    """None: there is no earlier model to compare with."""
    classes: Mapping[tuple[str, str], Classes]
    """By slice: (column, value as text)."""


def read_scores(uri: str, declaration: Declaration) -> Scores:
    """Reads the scores of an evaluation.

    Args:
      uri: The evaluation's directory.
      declaration: Names the label and the slices.
    """
    table = pq.read_table(Path(uri, SCORES_DIR))
    labels = table[declaration.label.name].to_numpy() == 1
    classes: dict[tuple[str, str], Classes] = {}
    for column in declaration.evaluation.slices:
        classes |= _classes(column, table[column], labels)
    baseline = SCORE[BASELINE]
    return Scores(
        labels=labels,
        candidate=table[SCORE[CANDIDATE]].to_numpy().astype(np.float64),
        baseline=table[baseline].to_numpy().astype(np.float64) if baseline in table.column_names else None,
        classes=classes,
    )


def _classes(column: str, values: pa.ChunkedArray, labels: Flags) -> dict[tuple[str, str], Classes]:
    counted = (
        pa.table({"value": values, "label": pa.array(labels.astype(np.int64))})
        .filter(pc.is_valid(values))
        .group_by("value")
        .aggregate([("label", "sum"), ("label", "count")])
    )
    return {
        (column, value.decode(errors="replace") if isinstance(value, bytes) else str(value)): Classes(positives, rows)
        for value, positives, rows in zip(
            counted["value"].to_pylist(),
            counted["label_sum"].to_pylist(),
            counted["label_count"].to_pylist(),
            strict=True,
        )
    }
