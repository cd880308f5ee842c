"""Which rows are compared, those of the eval split if nothing else is said, and what the examples hold of them."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modules.kernel.hashing import hash_columns
from modules.spec import EVAL, ROW_ID, SPLITS, Declaration
from pipeline.ingest.examples import example_files, example_types, read_examples, values_of


@dataclasses.dataclass(frozen=True)
class Sample:
    """Rows of the examples; all columns have the shape (rows,)."""

    ids: pa.Array
    """Their identities, large_binary, each once."""
    columns: Mapping[str, pa.Array]
    """Their columns by name, null where a row has no value."""
    times: pa.Array | None
    """int64: microseconds; None without a time."""

    def time(self, row: int) -> int | None:
        """When a row was, in microseconds; None if that is not known."""
        return None if self.times is None else self.times[row].as_py()

    def find(self, ids: pa.Array) -> np.ndarray:
        """Where in another column of identities the rows are; int64, shape (rows,), -1 for a row that is not there."""
        found = pc.index_in(self.ids, value_set=pc.cast(ids, pa.large_binary()))
        return pc.fill_null(found, -1).to_numpy().astype(np.int64)


def sample(examples: str, declaration: Declaration, splits: Sequence[str] = (EVAL,)) -> Sample:
    """The rows with the least hashes of their identities, `gate.rows` of them, in the order of the examples.

    Rows whose identity is there twice are left aside, for nobody can say which is which.

    Args:
      examples: ExampleGen's directory.
      declaration: What they were made with.
      splits: Of which splits.
    """
    split_of, read = zip(*_batches(examples, declaration, SPLITS, [ROW_ID]), strict=True)
    ids = pa.chunked_array([values_of(batch, ROW_ID) for batch in read])
    counted = pc.value_counts(ids)
    twice = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
    there = pa.chunked_array([values_of(b, ROW_ID) for of, b in zip(split_of, read, strict=True) if of in splits])
    chosen = _least(there.filter(pc.invert(pc.is_in(there, value_set=twice))), declaration.gate.rows)
    names = list(example_types(declaration))
    table = pa.concat_tables(
        pa.Table.from_batches([batch]).filter(pc.is_in(values_of(batch, ROW_ID), value_set=chosen))
        for _, batch in _batches(examples, declaration, splits, names)
    ).combine_chunks()
    columns = {name: values_of(table, name) for name in names}
    return Sample(columns[ROW_ID], columns, columns[declaration.time] if declaration.time else None)


def _batches(
    examples: str, declaration: Declaration, splits: Iterable[str], names: list[str]
) -> Iterator[tuple[str, pa.RecordBatch]]:
    for split, path in example_files(examples, splits):
        for batch in read_examples(path, names, declaration):
            yield split, batch


def _least(ids: pa.ChunkedArray, rows: int | str) -> pa.Array:
    if rows == "all" or len(ids) <= int(rows):
        return ids.combine_chunks()
    hashes = hash_columns([pc.cast(ids.combine_chunks(), pa.string())])[0]
    return ids.take(pa.array(np.argsort(hashes, kind="stable")[: int(rows)])).combine_chunks()
