"""A store filled by the writer, bundle by bundle, and what the kernel's batch says of the same events."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from modules.kernel import row
from modules.kernel.answer import Answer, Requests, answer
from modules.kernel.keys import code_keys
from modules.kernel.take import Columns
from modules.kernel.window import NEVER, slots_of
from modules.live import entities
from modules.spec import Declaration, load_declaration
from pipeline.live.merge import OnlineWriter
from pipeline.live.place import Place
from pipeline.stores.store import Register
from tests.pipeline.live.rides import DECLARATION, Event, parsed

_OWN = """\
    own_sum: {source: rides, key: [rider], aggregation: sum, value: amount, scale: 100, window: 1h,
      include_request: true}
    own_area: {source: rides, key: [area], aggregation: count, window: 1h, include_request: true}
    own_count: {source: rides, key: [rider], aggregation: count, window: 1h, include_request: true}
label:"""
OWN = ("own_sum", "own_count", "own_area")


def declare(directory: Path) -> Declaration:
    """The rides, and features of them that take in the request."""
    path = directory / "own.yaml"
    path.write_text(DECLARATION.replace("label:", _OWN, 1))
    return load_declaration(path)


def fill(declaration: Declaration, place: Place, events: Mapping[str, Sequence[Event]], bundle: int = 50) -> None:
    """Merges events in the order in which they were taken in; each bundle moves the watermark to the next one's."""
    kinds = entities(declaration)
    with place.open() as store:
        for source in {entity.source.name: entity.source for entity in kinds}.values():
            store.advance([Register(source.name, "0", NEVER, 0)])
            writer = OnlineWriter(source, kinds, store)
            some = events.get(source.name, ())
            for first in range(0, len(some), bundle):
                writer.merge(parsed(declaration, source, some[first : first + bundle]))
                writer.advance("0", some[min(first + bundle, len(some) - 1)]["taken_in"], first + bundle)


def advance(place: Place, source: str, watermark: int, partition: str = "0") -> None:
    """Moves a source's watermark."""
    with place.open() as store:
        store.advance([Register(source, partition, watermark, 0)])


def by_batch(
    declaration: Declaration, events: Mapping[str, Sequence[Event]], columns: Columns, times: np.ndarray
) -> dict[str, Answer]:
    """All features of requests, from the whole history."""
    found: dict[str, Answer] = {}
    for entity in entities(declaration):
        history = parsed(declaration, entity.source, events.get(entity.source.name, ()))
        owners, _ = code_keys([pa.concat_arrays([history.columns[n], columns[n]]) for n in entity.key])
        cells, marks, _ = row.history(entity, history, owners[: len(history)])
        asked = Requests(owners[len(history) :], slots_of(times, entity.source.tick), columns)
        found |= answer(entity, cells, marks, asked).by_name()
    return found
