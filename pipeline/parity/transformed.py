"""Check 3: the inputs that the model was trained on, beside those that the exported graph makes."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modules.spec import EVAL, ROW_ID, Declaration
from pipeline.ingest.examples import example_files, values_of
from pipeline.parity.check import Check
from pipeline.parity.exported import MOST_ROWS, SINGLES, Exported, batches, named_inputs, taken
from pipeline.parity.sample import Sample
from pipeline.parity.tally import Tally
from pipeline.serving.inputs import Array

NAME = "transformed features"
_SIGNATURE = "transform_features"
_BATCHES = ((1, SINGLES), (8, MOST_ROWS), (MOST_ROWS, None))
"""Rows at a time, and how many rows."""


class Asked(Protocol):
    """A model that can be asked, wherever it is."""

    def call(self, signature: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs of a signature for arrays by name; all of shape (rows, ...)."""
        ...


def transformed_features(
    declaration: Declaration, sample: Sample, transformed: str | None, model: Exported, asked: Asked | None = None
) -> Check:
    """Compares Transform's examples with what `transform_features` gives, in batches of 1 and 8, and all at once.

    Args:
      declaration: The features.
      sample: The rows.
      transformed: Transform's directory; None where there is none: what the exported model gives for all rows at once
        then stands in its place.
      model: The exported model.
      asked: Who is asked; else the exported model.
    """
    tally = Tally(NAME, sample)
    inputs = named_inputs(declaration, sample)
    if transformed is None:
        there = np.ones(len(sample.ids), bool)
        parts = [model.call(_SIGNATURE, taken(inputs, rows)) for rows in batches(len(sample.ids), MOST_ROWS)]
        expected = {
            name: np.concatenate([part[name].reshape(len(part[name]), -1) for part in parts])
            for name in declaration.features
        }
    else:
        table = pa.concat_tables([pq.read_table(path) for _, path in example_files(transformed, (EVAL,))])
        places = sample.find(values_of(table, ROW_ID))
        there = places >= 0
        tally.miss(int((~there).sum()))
        table = table.take(pa.array(np.maximum(places, 0)))
        expected = {name: _rows_of(table, name) for name in declaration.features}
    for size, most in _BATCHES:
        for rows in batches(len(sample.ids), size, most):
            outputs = (asked or model).call(_SIGNATURE, taken(inputs, rows))
            kept = rows[there[rows]]
            for name, values in expected.items():
                found = outputs[name].reshape(len(rows), -1)
                tally.compare(name, kept, values[kept], found[there[rows]])
    return tally.check()


def _rows_of(table: pa.Table, name: str) -> np.ndarray:
    """A column of model inputs, shape (rows, width)."""
    column = table.column(name).combine_chunks()
    return pc.list_flatten(column).to_numpy().reshape(len(table), -1)
