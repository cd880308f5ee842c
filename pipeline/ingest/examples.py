"""Examples as Parquet files: the columns that leave ingestion, and their form.

TFX reads a column as large_list<int64 | float32 | large_binary>, one value a row at most; null is a missing value.
"""

import contextlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modules.kernel.rounding import to_example
from modules.spec import ROW_ID, Declaration
from pipeline.ingest.files import create_file, files_below, is_remote, readable
from pipeline.ingest.fingerprint import check, stamped

_BATCH_ROWS = 1 << 16

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
    """Conformed columns as a batch of examples; float64 is rounded once, to float32.

    Its schema carries the fingerprint of the live features, and so does a file of it.
    """
    examples = as_examples(columns, example_types(declaration))
    return pa.RecordBatch.from_arrays(examples.columns, schema=stamped(examples.schema, declaration))


def as_examples(columns: Mapping[str, pa.Array], types: Mapping[str, pa.DataType]) -> pa.RecordBatch:
    """Conformed columns in the form of examples: those named, with values of these types."""
    return pa.RecordBatch.from_arrays([_as_lists(columns[name], to) for name, to in types.items()], list(types))


def _as_lists(values: pa.Array, to: pa.DataType) -> pa.Array:
    valid = pc.is_valid(values).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(valid)]).astype(np.int64)
    inner = pc.drop_null(values)
    inner = pa.array(to_example(inner.to_numpy())) if to == pa.float32() else pc.cast(inner, to, safe=False)
    return pa.LargeListArray.from_arrays(offsets, inner, mask=pa.array(~valid))


def as_lists(values: np.ndarray) -> pa.LargeListArray:
    """Values of shape (rows,) or (rows, width), as a column of examples with all values of a row in its list."""
    offsets = np.arange(len(values) + 1, dtype=np.int64) * (values[:1].size if len(values) else 0)
    return pa.LargeListArray.from_arrays(offsets, values.ravel())


def values_of(batch: pa.RecordBatch | pa.Table, name: str) -> pa.Array:
    """One column of examples as a flat array, null where the row has no value."""
    column = batch.column(name)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return pc.list_element(pc.if_else(pc.equal(pc.list_value_length(column), 0), None, column), 0)


class ExampleFile(contextlib.AbstractContextManager["ExampleFile"]):
    """One Parquet file of examples, here or in a bucket.

    It appears under its name when it is complete; in a bucket an incomplete one can be left, by a job that failed.
    """

    def __init__(self, path: str) -> None:
        directory, _, name = path.rpartition("/")
        self._path = path
        self._unfinished = path if is_remote(path) else f"{directory}/.{name}.{uuid.uuid4().hex}"
        self._file: BinaryIO | None = None
        self._writer: pq.ParquetWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        if self._writer is None:
            self._file = create_file(self._unfinished)
            self._writer = pq.ParquetWriter(self._file, batch.schema, use_compliant_nested_type=False)
        self._writer.write_batch(batch)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is not None:
            assert self._file is not None
            with self._file:
                self._writer.close()
            if is_remote(self._path):
                return
            if kind is None:
                Path(self._unfinished).rename(self._path)
            else:
                Path(self._unfinished).unlink()


class ExampleWriter:
    """Writes one file a split, each opened when its first rows come."""

    def __init__(self, directory: str, shard: str) -> None:
        self._directory = directory
        self._shard = shard
        self._files: dict[str, ExampleFile] = {}
        self._open = contextlib.ExitStack()

    def write(self, split: str, batch: pa.RecordBatch) -> None:
        if split not in self._files:
            path = f"{self._directory}/Split-{split}/examples-{self._shard}.parquet"
            self._files[split] = self._open.enter_context(ExampleFile(path))
        self._files[split].write(batch)

    def close(self) -> None:
        self._open.close()


def example_files(uri: str, splits: Iterable[str]) -> list[tuple[str, str]]:
    """(split, path) of each file of the examples at `uri`, in the order of the splits and of the files' names."""
    found = [(split, path) for split in splits for path in files_below(f"{uri}/Split-{split}")]
    return [(split, path) for split, path in found if _is_whole(path)]


def _is_whole(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.endswith(".parquet") and not name.startswith(".")


def read_examples(
    path: str, columns: list[str], declaration: Declaration, batch_rows: int | None = None
) -> Iterator[pa.RecordBatch]:
    """The columns, in their order, of a file of examples, in batches of up to so many rows; None: 65,536.

    Raises:
      InputError: The examples were made with other live features than the declaration's.
    """
    with pq.ParquetFile(readable(path)) as file:
        check(path, file.schema_arrow, declaration)
        for batch in file.iter_batches(batch_size=batch_rows or _BATCH_ROWS, columns=columns, use_threads=False):
            yield batch.select(columns)


class ReadExamples(beam.DoFn):
    """(split, path) -> (split, batch of the columns) of each batch of the file."""

    def __init__(self, columns: list[str], declaration: Declaration) -> None:
        self._columns = columns
        self._declaration = declaration

    def process(self, element: tuple[str, str]) -> Iterator[tuple[str, pa.RecordBatch]]:
        split, path = element
        for batch in read_examples(path, self._columns, self._declaration):
            yield split, batch
