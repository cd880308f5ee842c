"""Asks a pushed model for predictions in this process: rows as JSON objects in, scores out."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from modules.spec import InputError
from pipeline.serving.signature import ScoringModel

_GREATEST_FLOAT32 = float(np.finfo(np.float32).max)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: no UTF-8 says it
_ACCEPTED = {tf.float32: "a finite number", tf.int64: "a whole number, or true or false", tf.string: "text"}


def predict(model: Path, text: str) -> list[float]:
    """The scores of one row or of several.

    Args:
      model: The directory of a version.
      text: A JSON object, or an array of them: features by name. An optional feature may be left out or null; a
        live one too, if it is in all rows, and then has the value of an unknown key.

    Raises:
      InputError: It is not that.
    """
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"--json: not JSON at character {error.pos + 1}: {error.msg}. Quote the whole object for the shell."
        ) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; thousands of brackets
        raise InputError(f"--json: cannot be read: {error}.") from None
    rows = rows if isinstance(rows, list) else [rows]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise InputError('--json: accepted: an object such as {"fare": 12.5}, or an array of objects.')
    scoring = ScoringModel(str(model))
    live = scoring.features.keys() - scoring.required - scoring.optional
    left_out = {name for name in live if all(row.get(name) is None for row in rows)}
    columns = {
        name: _column(name, rows, dtype, name not in scoring.optional)
        for name, dtype in scoring.features.items()
        if name not in left_out
    }
    for number, row in enumerate(rows, start=1):
        if unknown := sorted(row.keys() - scoring.features.keys()):
            raise InputError(
                f"--json, row {number}: {', '.join(unknown)}: unknown; accepted: {', '.join(sorted(scoring.features))}."
            )
    return [float(score) for score in scoring.score(columns).numpy()]


def _column(name: str, rows: list[dict[str, Any]], dtype: tf.DType, required: bool) -> pa.Array:
    values = [row.get(name) for row in rows]
    for number, value in enumerate(values, start=1):
        if value is None:
            if required:
                raise InputError(f"--json, row {number}: {name} is missing, and the model needs it in every row.")
        elif not _fits(value, dtype):
            raise InputError(f"--json, row {number}: {name}: read {json.dumps(value)}; accepted: {_ACCEPTED[dtype]}.")
    if dtype == tf.float32:
        return pa.array([None if value is None else float(np.float32(value)) for value in values], pa.float32())
    return (
        pa.array(values, pa.string())
        if dtype == tf.string
        else pa.array([None if v is None else int(v) for v in values], pa.int64())
    )


def _fits(value: object, dtype: tf.DType) -> bool:
    if dtype == tf.string:
        return isinstance(value, str) and not _LONE_SURROGATE.search(value)
    if dtype == tf.int64:
        return isinstance(value, int) and -(2**63) <= value < 2**63
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _GREATEST_FLOAT32
