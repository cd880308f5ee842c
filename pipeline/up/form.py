"""What the page's form asks for, and the requests that it starts with: rows of the evaluation part."""

import collections
import dataclasses
import itertools
from collections.abc import Iterator
from typing import Self

import numpy as np
import pyarrow as pa

from modules.kernel.plan import Entity
from modules.live import entities
from modules.spec import Declaration
from pipeline.ingest.conform import conform
from pipeline.ingest.files import find_files
from pipeline.ingest.readers import read_batches
from pipeline.live.columns import request_columns

Value = int | float | str | bool | None
_ROWS = 500
"""How many rows of the evaluation part are looked at."""
_EXAMPLES = 25
_SUGGESTIONS = 100


@dataclasses.dataclass(frozen=True)
class Field:
    """A column of a request."""

    name: str
    type: str
    """int, float, string or bool."""
    required: bool
    suggestions: tuple[str, ...]
    """Values that occur, the most frequent first; of text and of columns that key live features."""


@dataclasses.dataclass(frozen=True)
class Form:
    """The request's columns, without its time, and requests to begin with."""

    fields: tuple[Field, ...]
    time: str
    """The time's column, which a request may leave out."""
    entities: tuple[Entity, ...]
    """What live features are kept of."""
    examples: tuple[dict[str, Value], ...]
    """At least one: rows that have as many values as any. A null is left out."""

    @classmethod
    def of(cls, declaration: Declaration, since: int) -> Self:
        """The form of a dataset with live features.

        Args:
          declaration: It.
          since: The time in microseconds from which on rows are examples.
        """
        assert declaration.time is not None
        found = entities(declaration)
        keys = {name for entity in found for name in request_columns(entity)}
        names = [
            name
            for name, column in declaration.columns.items()
            if column.role == "feature" or (name in keys and column.role == "key")
        ]
        rows = list(itertools.islice(_rows(declaration, names, since), _ROWS)) or [{}]
        fields = []
        for name in names:
            column = declaration.columns[name]
            listed = column.type == "string" or name in keys
            counts = collections.Counter(str(row[name]) for row in rows if listed and name in row)
            fields.append(
                Field(
                    name,
                    column.type,
                    column.role == "feature" and not column.optional,
                    tuple(value for value, _ in counts.most_common(_SUGGESTIONS)),
                )
            )
        whole = [row for row in rows if len(row) == max(map(len, rows))]
        return cls(tuple(fields), declaration.time, found, tuple(whole[:: -(-len(whole) // _EXAMPLES)]))


def _rows(declaration: Declaration, names: list[str], since: int) -> Iterator[dict[str, Value]]:
    """The named columns of the rows from a time on; a null is left out."""
    time, columns = declaration.time, declaration.columns
    assert time is not None
    for file in find_files(declaration.data, declaration.spans, named="--features FILE"):
        for _, batch in read_batches(file, columns, {name: columns[name] for name in (time, *names)}, []):
            times, _ = conform(batch.column(time), columns[time], time)
            after = np.flatnonzero(times.fill_null(since - 1).to_numpy() >= since)
            values = {name: conform(batch.column(name), columns[name], name)[0] for name in names}
            for row in pa.table(values).take(after).to_pylist():
                yield {name: value for name, value in row.items() if value is not None}
