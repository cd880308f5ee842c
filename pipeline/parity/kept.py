"""What the backfill kept of the sample's rows."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from modules.spec import ROW_ID, Declaration
from pipeline.parity.sample import Sample


@dataclasses.dataclass(frozen=True)
class Kept:
    """Rows of the sample with the dataset's columns as they were read, and their live features at full width."""

    rows: np.ndarray
    """int64, shape (kept,): which rows of the sample."""
    table: pa.Table
    """In the same order."""
    times: np.ndarray
    """int64, shape (kept,): microseconds."""
    missing: int
    """Rows of the sample that are not there."""


def kept(declaration: Declaration, sample: Sample, values: Path) -> Kept:
    """Reads the sample's rows.

    Args:
      declaration: The live features.
      sample: The rows.
      values: What the backfill wrote.
    """
    name = declaration.id or ROW_ID
    columns = dict.fromkeys([name, *declaration.columns, *declaration.live_features])
    table = ds.dataset(values).to_table(
        columns=list(columns), filter=ds.field(name).cast(pa.string()).isin(_ids(sample))
    )
    places = sample.find(pc.cast(table.column(name), pa.string()).combine_chunks())
    rows = np.flatnonzero(places >= 0)
    table = table.take(pa.array(places[rows])).combine_chunks()
    times = table.column(str(declaration.time)).cast(pa.int64()).to_numpy()
    return Kept(rows, table, times, len(places) - len(rows))


def _ids(sample: Sample) -> pa.Array:
    return pc.cast(pc.cast(sample.ids, pa.binary()), pa.string())
