"""The events that some requests may see, read again from the files that the backfill read."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modules.kernel.keys import code_keys
from modules.kernel.plan import Entity, named_sources
from modules.kernel.take import Events
from modules.kernel.window import slots_of
from modules.live import entities
from modules.spec import Declaration, Typed
from pipeline.ingest.files import InputFile
from pipeline.ingest.problems import Problem
from pipeline.ingest.readers import read_batches
from pipeline.live.columns import event_columns
from pipeline.live.parse import parse
from pipeline.live.requests import canonical
from pipeline.parity.kept import Kept


@dataclasses.dataclass(frozen=True)
class Seen:
    """The events of one entity that count, have the key of a request, and are near enough to one."""

    entity: Entity
    events: Events
    """With all columns that the source's are read with."""
    owners: np.ndarray
    """int64, shape (events,): whose they are, a number of a key."""
    askers: np.ndarray
    """int64, shape (requests,): the key of each request; -1 for a key with a null."""


def seen(declaration: Declaration, kept: Kept, files: Sequence[tuple[str, InputFile]]) -> tuple[Seen, ...]:
    """Reads the events of each entity that the rows may see.

    Args:
      declaration: The live features.
      kept: The requests.
      files: The files of events, each with its source.
    """
    kinds = entities(declaration)
    asked = [{name: kept.table.column(name).combine_chunks() for name in entity.key} for entity in kinds]
    parts: list[list[Events]] = [[] for _ in kinds]
    ignored: list[Problem] = []  # the backfill has told them
    sources = named_sources(kinds)
    types = {name: event_columns(declaration, source, kinds) for name, source in sources.items()}
    for source in sources.values():
        for file in (file for name, file in files if name == source.name and len(kept.times)):
            for _, batch in read_batches(file, None, types[source.name], ignored):
                events = parse(source, types[source.name], batch, None).events
                for number, entity in enumerate(kinds):
                    if entity.source.name == source.name:
                        parts[number].append(_near(entity, events, asked[number], kept.times))
    return tuple(
        _of_entity(entity, types[entity.source.name], keys, near)
        for entity, keys, near in zip(kinds, asked, parts, strict=True)
    )


def _near(entity: Entity, events: Events, asked: Mapping[str, pa.Array], times: np.ndarray) -> Events:
    """Those of which each column of the key has some request's value, at a time that one may see."""
    least = (slots_of(times.min(), entity.source.tick) - entity.reach) * entity.source.tick
    near = (events.times >= least) & (events.times <= times.max())
    for name, values in asked.items():
        near &= pc.is_in(events.columns[name], value_set=values).to_numpy(zero_copy_only=False)
    return events.where(np.flatnonzero(near))


def _of_entity(
    entity: Entity, types: Mapping[str, Typed], asked: Mapping[str, pa.Array], parts: Sequence[Events]
) -> Seen:
    """Of the events that are near, those whose whole key some request has."""
    columns = {
        name: pa.concat_arrays([pa.array([], canonical(typed)), *(part.columns[name] for part in parts)])
        for name, typed in types.items()
    }
    times = columns[entity.source.time].to_numpy()
    ids = np.concatenate([np.empty((2, 0), np.int64), *(part.ids for part in parts)], axis=1)
    owners, _ = code_keys([pa.concat_arrays([columns[name], asked[name]]) for name in entity.key])
    events = Events(columns, times, slots_of(times, entity.source.tick), ids)
    owners, askers = owners[: len(times)], owners[len(times) :]
    mine = np.flatnonzero(np.isin(owners, askers) & (owners >= 0))
    return Seen(entity, events.where(mine), owners[mine], askers)
