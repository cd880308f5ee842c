"""A real export of a model so small that its scores can be said a second time, in numpy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from modules import export
from modules.kernel.rounding import to_example
from modules.raw_features import to_dense
from modules.spec import Declaration

_MISSING = 0.25


class _Sum(tf.Module):
    """Adds up the numbers of a row, each with a weight of its own; text counts by its length."""

    def __init__(self, declaration: Declaration) -> None:
        super().__init__()
        self._declaration = declaration

    def transform(self, raw: export.Raw) -> dict[str, tf.Tensor]:
        numbers = {}
        for name, column in self._declaration.features.items():
            values, present = raw[name], None
            if column.optional:
                values, present = to_dense(values)
            values = tf.strings.length(values) if column.type == "string" else values
            values = tf.cast(values, tf.float64)
            numbers[name] = values if present is None else tf.where(present, values, tf.constant(_MISSING, tf.float64))
        return numbers

    def score(self, raw: export.Raw) -> dict[str, tf.Tensor]:
        total = tf.constant(0.0, tf.float64)
        for number, values in enumerate(self.transform(raw).values(), start=1):
            total += values * number
        return {"score": tf.cast(total, tf.float32)}


def export_sum(declaration: Declaration, directory: Path) -> Path:
    """Exports the model of a declaration as a version is exported."""
    export.save(_Sum(declaration), declaration, str(directory), {})
    return directory


def expected(declaration: Declaration, rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """What it gives for rows at full width: every float is rounded to float32 once, before anything is computed."""
    scores = []
    for row in rows:
        total = 0.0
        for number, (name, column) in enumerate(declaration.features.items(), start=1):
            value = row[name]
            if value is None:
                value = _MISSING
            elif column.type == "string":
                value = len(value.encode())
            elif column.type == "float":
                value = float(to_example(np.array([float(value)]))[0])
            total += float(value) * number
        scores.append(float(np.float32(total)))
    return scores
