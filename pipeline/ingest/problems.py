"""What is wrong with rows: gathered from all files, so that one run names every kind of problem and how often it is."""

import dataclasses
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

_EXAMPLES = 3
_EXAMPLE_LENGTH = 80


@dataclasses.dataclass(frozen=True)
class Problem:
    """Rows that break one rule in one column."""

    column: str
    accepted: str
    """What the column would accept."""
    count: int
    """How many rows."""
    examples: tuple[str, ...]
    """`path, row N: read 'value'` for the first few; rows are counted from 1, the header not included."""

    def __str__(self) -> str:
        rows = "1 row" if self.count == 1 else f"{self.count:,} rows"
        return f"column {self.column}, {rows}: {'; '.join(self.examples)}. Accepted: {self.accepted}."


def merge(problems: Iterable[Problem]) -> list[Problem]:
    """Adds up the problems of the same column and rule, the first examples kept."""
    merged: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        known = merged.get((problem.column, problem.accepted))
        if known:
            examples = (*known.examples, *problem.examples)[:_EXAMPLES]
            problem = dataclasses.replace(known, count=known.count + problem.count, examples=examples)
        merged[problem.column, problem.accepted] = problem
    return list(merged.values())


def problem(path: str, rows: np.ndarray, column: str, accepted: str, values: pa.Array, bad: np.ndarray) -> Problem:
    """A problem of one batch.

    Args:
      path: The file.
      rows: int64, shape (rows,): the batch's row numbers.
      column: The column.
      accepted: What it would accept.
      values: The column as it was read, shape (rows,).
      bad: bool, shape (rows,): the rows concerned.
    """
    at = np.flatnonzero(bad)
    examples = tuple(f"{path}, row {rows[i]}: read {_read(values[int(i)])}" for i in at[:_EXAMPLES])
    return Problem(column, accepted, len(at), examples)


def _read(value: pa.Scalar) -> str:
    try:
        text = repr(value.as_py())
    except (OverflowError, ValueError):  # an instant that Python cannot hold
        text = f"{value.value} as {value.type}"
    return text if len(text) <= _EXAMPLE_LENGTH else text[:_EXAMPLE_LENGTH] + "..."
