"""Requests in files: the dataset's columns, checked and cast, as the backfill and an online read both take them."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modules.kernel.plan import Entity, Taking
from modules.kernel.take import VALUE, Columns, judge
from modules.spec import ROW_ID, Declaration, InputError, Typed
from pipeline.ingest.conform import accepted, conform
from pipeline.ingest.problems import Problem, problem
from pipeline.ingest.rows import row_ids
from pipeline.live.columns import included

_CANONICAL = {
    "int": pa.int64(), "float": pa.float64(), "string": pa.string(), "bool": pa.bool_(), "timestamp": pa.int64(),
}  # fmt: skip


def canonical(typed: Typed) -> pa.DataType:
    """The Arrow type of a column once it is cast."""
    return _CANONICAL[typed.type]


def conform_requests(
    declaration: Declaration,
    entities: Sequence[Entity],
    path: str,
    numbers: np.ndarray,
    batch: pa.RecordBatch,
    problems: list[Problem],
) -> Columns:
    """The columns of requests in their canonical types.

    Args:
      declaration: What they are requests of.
      entities: Its live features.
      path: The file, for the problems.
      numbers: int64, shape (rows,): the rows' numbers in the file.
      batch: The dataset's columns, as they were written.
      problems: What does not fit is added here.

    Raises:
      InputError: A column is of an Arrow type that the declared type could not hold.
    """
    columns: Columns = {}
    reasons = {declaration.time: "it is the request's time", declaration.id: "it is the request's identity"}

    def check(name: str, rule: str, bad: np.ndarray) -> None:
        if bad.any():
            problems.append(problem(path, numbers, name, rule, batch.column(name), bad))

    for name, column in declaration.columns.items():
        columns[name], bad = conform(batch.column(name), column, name)
        check(name, accepted(column), bad)
        if name in reasons:
            null = pc.is_null(columns[name]).to_numpy(zero_copy_only=False)
            check(name, f"a value in every request, because {reasons[name]}", null & ~bad)
    if not problems and declaration.time is not None:
        times = columns[declaration.time].to_numpy()
        for entity in entities:
            for name, rule, bad in unusable(entity, columns, times):
                check(name, rule, bad)
    return columns


def unusable(entity: Entity, columns: Columns, times: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """What features with `include_request` cannot take in of requests.

    Args:
      entity: Whose features.
      columns: The columns of the requests.
      times: int64, shape (requests,): microseconds.

    Yields:
      A column, what it accepts, and which requests have something else: bool, shape (requests,).
    """
    for taking in included(entity):
        if taking.value is not None:
            yield (
                taking.value,
                f"less than 2^53 in units of 1/{taking.scale}",
                _unusable(entity, taking, columns, times),
            )


def _unusable(entity: Entity, taking: Taking, columns: Columns, times: np.ndarray) -> np.ndarray:
    source = dataclasses.replace(entity.source, time="", takings=(taking,))
    return judge(source, {**columns, "": pa.array(times)}, times) == VALUE


def as_written(columns: Columns, declaration: Declaration) -> pa.RecordBatch:
    """The columns of requests as they are written: times as timestamps, and an id where no column holds it."""
    arrays = {
        name: pc.cast(columns[name], pa.timestamp("us", "UTC")) if column.type == "timestamp" else columns[name]
        for name, column in declaration.columns.items()
    }
    if declaration.id is None:
        arrays[ROW_ID] = row_ids(columns)
    return pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays))


def with_path(path: str, error: InputError) -> str:
    """An error's message with the file that it is about."""
    return str(error) if str(error).startswith(path) else f"{path}: {error}"
