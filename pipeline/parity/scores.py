"""Check 4: the scores by which the model was judged, beside those that each way to it gives."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from modules.spec import ROW_ID, Declaration
from pipeline.parity.check import Check
from pipeline.parity.exported import MOST_ROWS, SINGLES, Exported, batches, named_inputs, serialized, taken
from pipeline.parity.sample import Sample
from pipeline.parity.server import Server
from pipeline.parity.tally import Tally
from pipeline.serving.inputs import Array

NAME = "scores"


Ways = Mapping[str, Callable[[np.ndarray], Array]]
"""What is asked, and how: rows of the sample -> their scores, float32, shape (rows,)."""


def scores(
    declaration: Declaration,
    sample: Sample,
    kept: Path,
    column: str,
    model: Exported,
    server: Server,
    row_id: str = ROW_ID,
) -> Check:
    """Compares the kept scores with `serving_default` and `serving_examples`, in this process and over a server.

    Args:
      declaration: The features.
      sample: The rows.
      kept: A directory of Parquet files with row ids and scores.
      column: The scores' column.
      model: The exported model.
      server: Serves it.
      row_id: The column of the ids.
    """
    inputs, examples = named_inputs(declaration, sample), serialized(declaration, sample)
    ways: Ways = {
        "serving_default": lambda rows: model.call("serving_default", taken(inputs, rows))["score"],
        "serving_examples": lambda rows: model.call("serving_examples", {"examples": examples[rows]})["score"],
        "serving_default over gRPC": lambda rows: server.by_grpc(taken(inputs, rows)),
        "serving_examples over REST": lambda rows: server.by_rest(examples[rows]),
    }
    return compared(sample, kept, column, row_id, ways)


def compared(sample: Sample, kept: Path, column: str, row_id: str, ways: Ways) -> Check:
    """Compares the kept scores with those that each way gives.

    Each is asked about all rows at once, and about some one by one. The model computes in float64 and rounds once, so
    that no bit may depend on the batch.
    """
    table = ds.dataset(kept).to_table(columns=[row_id, column])
    places = sample.find(pc.cast(table.column(row_id), pa.string()).combine_chunks())
    there = np.flatnonzero(places >= 0)
    tally = Tally(NAME, sample)
    tally.miss(len(places) - len(there))
    expected = np.zeros(len(places), np.float32)
    expected[there] = table.column(column).to_numpy()[places[there]]
    for way, ask in ways.items():
        for words, size, most in (("", MOST_ROWS, None), (", one by one", 1, SINGLES)):
            for rows in batches(len(there), size, most):
                asked = there[rows]
                tally.compare(f"score by {way}{words}", asked, expected[asked], ask(asked))
    return tally.check()
