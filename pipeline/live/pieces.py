"""Rows on their way between the steps of a job: through files, so that a runner's groupings hold only their paths."""

import uuid
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from apache_beam.io.filesystems import FileSystems

Group = tuple[int, int]
"""What rows are grouped by: an entity's number and a shard, or a file's number and a block of its rows."""


class PieceWriter:
    """Writes rows by group, an Arrow stream each; names are never reused, so what a retry writes harms nobody."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._name = uuid.uuid4().hex
        self._open: dict[Group, tuple[str, BinaryIO, pa.ipc.RecordBatchStreamWriter]] = {}

    def write(self, first: int, seconds: np.ndarray, rows: pa.RecordBatch) -> None:
        """Appends rows to their groups.

        Args:
          first: The first half of their groups.
          seconds: The second half, below 2^15; int64, shape (rows,).
          rows: The rows.
        """
        if not len(seconds):
            return
        short = seconds.astype(np.int16)  # sorted by counting
        order = np.argsort(short, kind="stable")
        bounds = np.flatnonzero(np.diff(short[order], prepend=-1))
        if len(bounds) > 1:
            rows = rows.take(pa.array(order))
        for start, stop in zip(bounds, [*bounds[1:], len(order)], strict=True):
            self._writer((first, int(seconds[order[start]])), rows.schema).write_batch(rows[start:stop])

    def _writer(self, group: Group, schema: pa.Schema) -> pa.ipc.RecordBatchStreamWriter:
        if group not in self._open:
            path = FileSystems.join(self._directory, f"{group[0]}-{group[1]}-{self._name}.arrow")
            file = FileSystems.create(path)
            self._open[group] = path, file, pa.ipc.new_stream(file, schema)
        return self._open[group][2]

    def close(self) -> list[tuple[Group, str]]:
        """Ends the files; each with its group."""
        for _, file, writer in self._open.values():
            writer.close()
            file.close()
        return [(group, path) for group, (path, _, _) in self._open.items()]


def read_pieces(paths: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """The rows of files in the order of their paths' writing within each."""
    for path in paths:
        with FileSystems.open(path) as file, pa.ipc.open_stream(file) as stream:
            yield from stream
