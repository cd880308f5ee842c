"""Some of the events that requests see, in files of their own, and the same ones again with nulls for values."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modules.kernel.plan import Entity, named_sources
from modules.kernel.take import Columns
from modules.spec import Declaration, Typed
from pipeline.ingest.files import InputFile
from pipeline.live.columns import event_columns
from pipeline.live.requests import canonical
from pipeline.parity.seen import Seen

_MOST_EVENTS = 4096
"""How many each entity adds, evenly chosen where its requests see more; as many again have nulls."""


def few_events(
    declaration: Declaration, kinds: tuple[Entity, ...], seen: Sequence[Seen], requests: int
) -> dict[str, Columns]:
    """The events of each source, by its name.

    Args:
      declaration: The live features.
      kinds: Their entities.
      seen: The events that requests see, by entity.
      requests: How many of these requests count, the first ones.
    """
    return {name: _events(declaration, kinds, name, seen, requests) for name in named_sources(kinds)}


def write_events(
    declaration: Declaration, kinds: tuple[Entity, ...], events: Mapping[str, Columns], directory: Path
) -> list[tuple[str, InputFile]]:
    """Writes a Parquet file for each source; the files with their sources."""
    files = []
    for source, plan in named_sources(kinds).items():
        path = directory / f"{source}.parquet"
        pq.write_table(as_table(events[source], event_columns(declaration, plan, kinds)), path)
        files.append((source, InputFile(str(path), "parquet")))
    return files


def _events(
    declaration: Declaration, kinds: tuple[Entity, ...], source: str, seen: Sequence[Seen], rows: int
) -> Columns:
    """The events of a source that the first rows see, not all where they are many, and again with null values."""
    mine = [each for each in seen if each.entity.source.name == source]
    types = event_columns(declaration, mine[0].entity.source, kinds)
    found: dict[str, list[pa.Array]] = {name: [pa.array([], canonical(typed))] for name, typed in types.items()}
    for each in mine:
        theirs = np.flatnonzero(np.isin(each.owners, each.askers[:rows]))
        theirs = theirs[:: 1 + len(theirs) // _MOST_EVENTS]
        for name, values in each.events.where(theirs).columns.items():
            found[name].append(values)
    columns = {name: pa.concat_arrays(arrays) for name, arrays in found.items()}
    nulls = _values(declaration, kinds, source)
    return {
        name: pa.concat_arrays([values, pa.nulls(len(values), values.type) if name in nulls else values])
        for name, values in columns.items()
    }


def _values(declaration: Declaration, kinds: tuple[Entity, ...], source: str) -> set[str]:
    """The columns of a source's events that are taken in, and say neither whose an event is, nor when, nor which."""
    assert declaration.live is not None
    declared = declaration.live.sources[source]
    mine = [entity for entity in kinds if entity.source.name == source]
    takings = [taking for entity in mine for taking in (*entity.takings, *entity.counted)]
    values = {taking.value for taking in takings if taking.value is not None}
    return values - {declared.time, declared.ingest_time, *(declared.id or ()), *(k for e in mine for k in e.key)}


def as_table(columns: Mapping[str, pa.Array], types: Mapping[str, Typed]) -> pa.Table:
    """Columns as they can be read again: times as timestamps."""
    return pa.table(
        {
            name: pc.cast(values, pa.timestamp("us", "UTC")) if types[name].type == "timestamp" else values
            for name, values in columns.items()
        }
    )
