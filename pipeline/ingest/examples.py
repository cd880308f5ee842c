"""Examples as Parquet files: the columns that leave ingestion, and their form.

TFX reads a column as large_list<int64 | float32 | large_binary>, one value a row at most; null is a missing value.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modules.kernel.rounding import to_example
from modules.spec import ROW_ID, Declaration

_TYPES = {
    "int": pa.int64(),
    "bool": pa.int64(),
    "timestamp": pa.int64(),
    "float": pa.float32(),
    "string": pa.large_binary(),
}


def example_types(declaration: Declaration) -> dict[str, pa.DataType]:
    """The examples' columns, in order, and the type of their values."""
    names = [*declaration.features, *declaration.keys, *filter(None, [declaration.time])]
    types = {name: _TYPES[(declaration.features | declaration.columns)[name].type] for name in names}
    return types | {declaration.label.name: pa.int64(), ROW_ID: pa.large_binary()}


def to_examples(columns: dict[str, pa.Array], declaration: Declaration) -> pa.RecordBatch:
    """Conformed columns as a batch of examples; float64 is rounded once, to float32."""
    types = example_types(declaration)
    return pa.RecordBatch.from_arrays([_as_lists(columns[name], to) for name, to in types.items()], names=list(types))


def _as_lists(values: pa.Array, to: pa.DataType) -> pa.Array:
    valid = pc.is_valid(values).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(valid)]).astype(np.int64)
    inner = pc.drop_null(values)
    inner = pa.array(to_example(inner.to_numpy())) if to == pa.float32() else pc.cast(inner, to, safe=False)
    return pa.LargeListArray.from_arrays(offsets, inner, mask=pa.array(~valid))


def values_of(batch: pa.RecordBatch | pa.Table, name: str) -> pa.Array:
    """One column of examples as a flat array, null where the row has no value."""
    column = batch.column(name)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return pc.list_element(pc.if_else(pc.equal(pc.list_value_length(column), 0), None, column), 0)


class ExampleWriter:
    """Writes one Parquet file a split, each opened when its first rows come."""

    def __init__(self, directory: str, shard: str) -> None:
        self._directory = Path(directory)
        self._shard = shard
        self._writers: dict[str, pq.ParquetWriter] = {}

    def write(self, split: str, batch: pa.RecordBatch) -> None:
        if split not in self._writers:
            path = self._directory / f"Split-{split}" / f"examples-{self._shard}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writers[split] = pq.ParquetWriter(path, batch.schema, use_compliant_nested_type=False)
        self._writers[split].write_batch(batch)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
