"""The live features of a file's rows, from the files that a backfill wrote: in the order of the rows, at full width."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ingest.files import files_below, readable


class LiveColumns:
    """Reads the values of one file's rows as they are asked for."""

    def __init__(self, directory: str, file: int, names: list[str]) -> None:
        """Opens nothing yet.

        Args:
          directory: What the backfill wrote: `part-<file>-<block>.parquet`.
          file: The number of the file among those of the backfill.
          names: The live features.
        """
        self._batches = self._read(directory, file, names)
        self._left: pa.RecordBatch | None = None

    @staticmethod
    def _read(directory: str, file: int, names: list[str]) -> Iterator[pa.RecordBatch]:
        for path in files_below(directory):
            if not path.rpartition("/")[2].startswith(f"part-{file:05d}-"):
                continue
            with pq.ParquetFile(readable(path)) as part:
                for batch in part.iter_batches(columns=names, use_threads=False):
                    yield batch.select(names)

    def take(self, rows: int) -> dict[str, pa.Array]:
        """The values of the next rows, by name; int64 or float64, shape (rows,)."""
        parts, missing = [], rows
        while missing:
            batch = self._left if self._left is not None else next(self._batches)
            part, rest = batch.slice(0, missing), batch.slice(missing)
            self._left = rest if len(rest) else None
            parts.append(part)
            missing -= len(part)
        table = pa.Table.from_batches(parts).combine_chunks()
        return {name: table.column(name).chunk(0) for name in table.column_names}
