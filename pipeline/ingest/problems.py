"""What is wrong with rows: gathered from all files, so that one run names every kind of problem and how often it is."""

import dataclasses
from collections.abc import Iterable

_EXAMPLES = 3


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


def problem(path: str, first_row: int, column: str, accepted: str, values: list[tuple[int, object]]) -> Problem:
    """A problem of one batch.

    Args:
      path: The file.
      first_row: The number of the batch's first row.
      column: The column.
      accepted: What it would accept.
      values: (position in the batch, what was read) of each row concerned.
    """
    examples = tuple(f"{path}, row {first_row + at}: read {value!r}" for at, value in values[:_EXAMPLES])
    return Problem(column, accepted, len(values), examples)
