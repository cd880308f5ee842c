"""Check 3: the inputs that the model was trained on, beside those that the exported graph makes."""

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

NAME = "transformed features"
_SIGNATURE = "transform_features"
_BATCHES = ((1, SINGLES), (8, MOST_ROWS), (MOST_ROWS, None))
"""Rows at a time, and how many rows."""


def transformed_features(declaration: Declaration, sample: Sample, transformed: str, model: Exported) -> Check:
    """Compares Transform's examples with what `transform_features` gives, in batches of 1 and 8, and all at once.

    Args:
      declaration: The features.
      sample: The rows.
      transformed: Transform's directory.
      model: The exported model.
    """
    tables = [pq.read_table(path) for _, path in example_files(transformed, (EVAL,))]
    table = pa.concat_tables(tables)
    places = sample.find(values_of(table, ROW_ID))
    tally = Tally(NAME, sample)
    tally.miss(int((places < 0).sum()))
    table = table.take(pa.array(np.maximum(places, 0)))
    expected = {name: _rows_of(table, name) for name in declaration.features}
    inputs = named_inputs(declaration, sample)
    for size, most in _BATCHES:
        for rows in batches(len(places), size, most):
            outputs = model.call(_SIGNATURE, taken(inputs, rows))
            there = places[rows] >= 0
            for name, values in expected.items():
                found = outputs[name].reshape(len(rows), -1)
                tally.compare(name, rows[there], values[rows][there], found[there])
    return tally.check()


def _rows_of(table: pa.Table, name: str) -> np.ndarray:
    """A column of model inputs, shape (rows, width)."""
    column = table.column(name).combine_chunks()
    return pc.list_flatten(column).to_numpy().reshape(len(table), -1)
