"""Requests in which something is missing: rows of the sample, each case altered in one way."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from modules.kernel.plan import Entity
from modules.kernel.take import Columns
from modules.spec import Column, Declaration

_NOBODY: dict[str, int | str] = {"int": 1 - 2**53, "string": "nobody has this key"}
"""By type, a value that is in no event; there is none of a bool."""


@dataclasses.dataclass(frozen=True)
class Probe:
    """Some requests."""

    case: str
    """What is missing, in words."""
    columns: Columns
    """The dataset's columns, of shape (rows,), null where a row has no value."""
    times: np.ndarray
    """int64, shape (rows,): microseconds."""
    left_out: frozenset[str] = frozenset()
    """Features that the model is not given; the columns hold what that means."""


def probes(
    declaration: Declaration, entities: Sequence[Entity], columns: Columns, times: np.ndarray, latest: int
) -> Iterator[Probe]:
    """The cases.

    Args:
      declaration: The features.
      entities: The live ones.
      columns: Rows with the dataset's columns, in their canonical types.
      times: int64, shape (rows,): theirs, in microseconds.
      latest: The time of the last event.
    """
    optional = [name for name, column in declaration.columns.items() if column.optional]
    if optional:
        without = _with_nulls(columns, optional)
        yield Probe("a missing feature", without, times, frozenset(optional))
        yield Probe("a null feature", without, times)
    if not entities:
        return
    keys = {name for entity in entities for name in entity.key}
    unknown = columns | {name: _nobody(columns[name], declaration.columns[name]) for name in keys}
    yield Probe("an unknown key", unknown, times)
    by_default = [
        feature.name
        for entity in entities
        for feature in entity.features
        if not feature.include_request and any(declaration.columns[name].type in _NOBODY for name in entity.key)
    ]
    yield Probe("live features left out", unknown, times, frozenset(by_default))
    if may_be_null := [name for name in keys if _may_be_null(declaration.columns[name])]:
        yield Probe("a null key", _with_nulls(columns, may_be_null), times)
    reach = max((entity.reach + 1) * entity.source.tick for entity in entities)
    yield Probe("an empty window", columns, np.full_like(times, max(latest, int(times.max())) + reach))
    yield Probe("events with null values", columns, times)


def _with_nulls(columns: Columns, names: Sequence[str]) -> Columns:
    return columns | {name: pa.nulls(len(columns[name]), columns[name].type) for name in names}


def _nobody(values: pa.Array, column: Column) -> pa.Array:
    return pa.array([_NOBODY[column.type]] * len(values), values.type) if column.type in _NOBODY else values


def _may_be_null(column: Column) -> bool:
    return column.optional or column.role == "key"
