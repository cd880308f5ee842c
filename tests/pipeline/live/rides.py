"""Rides and their payments to stream: a declaration, made-up events, and the rows that they must end in."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from modules.kernel import row
from modules.kernel.keys import code_keys
from modules.kernel.plan import Entity, Source
from modules.kernel.take import Events
from modules.live import entities
from modules.spec import Declaration, load_declaration
from pipeline.ingest.messages import read_messages
from pipeline.live.columns import event_columns
from pipeline.live.merge import OnlineWriter
from pipeline.live.parse import parse
from pipeline.live.place import Place
from pipeline.stores.store import OnlineStore, RowKey

Event = dict[str, Any]
SECOND = 1_000_000
BEGIN = 1_400_000_000 * SECOND
DECLARATION = """\
dataset: rides
data: rides.jsonl
columns:
  at: {type: timestamp, unit: us, role: time}
  taken_in: {type: timestamp, unit: us, role: ignored}
  ride: {type: int, role: ignored}
  rider: {type: int, role: key}
  area: {type: string, role: key}
  amount: {type: float, role: feature, transform: {name: scale}}
  good: {type: int, role: label}
live:
  lookback: 1m
  sources:
    rides: {time: at, ingest_time: taken_in, id: [ride], lateness: 1m}
    payments:
      columns:
        at: {type: timestamp, unit: us}
        taken_in: {type: timestamp, unit: us}
        ride: {type: int}
        area: {type: string}
        tip: {type: float}
      batch: payments.jsonl
      time: at
      ingest_time: taken_in
      id: [ride]
      lateness: 20m
  features:
    rides_5m: {source: rides, key: [rider], aggregation: count, window: 5m}
    amount_1h: {source: rides, key: [rider], aggregation: mean, value: amount, scale: 100, default: 0, window: 1h}
    last_1h: {source: rides, key: [rider], aggregation: last, value: amount, scale: 100, default: 0, window: 1h}
    rides_area: {source: rides, key: [area], aggregation: count, window: 10m}
    riders: {source: rides, key: [area], aggregation: approx_distinct, value: rider, window: 1h}
    tips: {source: payments, key: [area], aggregation: sum, value: tip, scale: 100, window: 2h, delay: 20m}
label: {name: big, column: good}
split: {by: time, validation: 0.1, eval: 0.2}
evaluation: {thresholds: {auc: {at_least: 0.0}}}
"""


def declare(directory: Path, *overrides: str) -> Declaration:
    """The declaration, in `features.yaml`."""
    path = directory / "features.yaml"
    path.write_text(DECLARATION)
    return load_declaration(path, overrides)


def rides(count: int, seed: int = 1, begin: int = BEGIN, apart: int = 3 * SECOND) -> list[Event]:
    """Rides in the order in which they were taken in, up to a minute late; a third of them of one rider."""
    chance = np.random.default_rng(seed)
    taken_in = begin + np.sort(chance.integers(0, max(count * apart, 1), count))
    at = taken_in - np.minimum(chance.exponential(10, count) * SECOND, 60 * SECOND).astype(np.int64)
    riders = np.where(chance.random(count) < 0.3, 0, chance.integers(1, 40, count))
    return [
        {
            "at": int(at[n]),
            "taken_in": int(taken_in[n]),
            "ride": seed * 1_000_000 + n,
            "rider": int(riders[n]),
            "area": f"area {riders[n] % 7}",
            "amount": round(float(chance.gamma(2, 8)), 2),
        }
        for n in range(count)
    ]


def payments(of: Sequence[Event], seed: int = 2) -> list[Event]:
    """A payment of each ride, with the ride's time, up to 20 minutes later."""
    chance = np.random.default_rng(seed)
    found = [
        {
            "at": ride["at"],
            "taken_in": ride["at"] + int(chance.integers(0, 20 * 60 * SECOND)),
            "ride": ride["ride"],
            "area": ride["area"],
            "tip": round(float(chance.gamma(1, 2)), 2),
        }
        for ride in of
    ]
    return sorted(found, key=lambda payment: payment["taken_in"])


BROKEN = b'{"at": 1400000000000000, "ride"'


def spoilt(begin: int = BEGIN) -> dict[str, Event]:
    """A ride for each reason for which one does not count."""
    good = rides(1, seed=9, begin=begin)[0]
    return {
        "schema": good | {"ride": 1, "rider": "nobody"},
        "value": good | {"ride": 2, "amount": 1e17},
        "late": good | {"ride": 3, "at": good["taken_in"] - 61 * SECOND},
        "future": good | {"ride": 4, "at": good["taken_in"] + SECOND},
    }


def write(path: Path, events: Sequence[Event], broken: Sequence[bytes] = ()) -> str:
    """Writes events as JSON lines; the URL of the file."""
    path.write_bytes(b"".join(line + b"\n" for line in [*(json.dumps(event).encode() for event in events), *broken]))
    return f"file://{path}"


def merged(declaration: Declaration, events: Mapping[str, Sequence[Event]], place: Place) -> None:
    """Merges events into a store at once, with nothing of the streaming job around it."""
    kinds = entities(declaration)
    with place.open() as store:
        for source in {entity.source.name: entity.source for entity in kinds}.values():
            counting = parsed(declaration, source, events.get(source.name, ()))
            OnlineWriter(source, kinds, store).merge(counting)


def parsed(declaration: Declaration, source: Source, events: Sequence[Event]) -> Events:
    """Those of a source's events that count."""
    columns = event_columns(declaration, source, entities(declaration))
    batch, _, _ = read_messages([json.dumps(event).encode() for event in events], columns)
    return parse(source, columns, batch, None).events


@dataclasses.dataclass(frozen=True)
class Rows:
    """What a store holds, closed and folded to the same point whatever moment it was written at."""

    content: dict[tuple[str, bytes], tuple[bytes, bytes]]
    """What a reader gets of each row, by entity and key."""

    @classmethod
    def of(cls, declaration: Declaration, place: Place, events: Mapping[str, Sequence[Event]]) -> "Rows":
        """The rows of the keys of some events."""
        last = max(event["taken_in"] for some in events.values() for event in some)
        content = {}
        with place.open() as store:
            for entity in entities(declaration):
                some = events.get(entity.source.name, ())
                keys = [pa.array([event[name] for event in some]) for name in entity.key]
                rows = [RowKey(entity.name, key) for key in code_keys(keys)[1]] if some else []
                for key, parts in zip(rows, _folded(declaration, entity, store, rows, last), strict=True):
                    content[entity.name, key.key] = parts
        return cls(content)


def _folded(
    declaration: Declaration, entity: Entity, store: OnlineStore, rows: list[RowKey], last: int
) -> list[tuple[bytes, bytes]]:
    """Rows at a time when all of their slots are closed and none of their cells is expired."""
    source = entity.source
    watermark = last + source.lateness + source.slack + 2 * source.tick
    stored = store.read(rows)
    assert None not in stored, [key for key, found in zip(rows, stored, strict=True) if found is None]
    parts = [(each.recent, each.identities) for each in stored if each]
    closed = row.merge(entity, parts, parsed(declaration, source, []), np.empty(0, np.int64), watermark)
    everything = np.arange(len(rows))
    floor = (last + 1) // source.tick - source.lookback
    folded, older = row.fold(entity, closed.rows, everything, store.read_older(rows), floor)
    encoded = row.encode(entity, folded, dict(enumerate(older)))
    assert [new.identities for new in encoded] == [b""] * len(rows)
    return [(new.recent, new.older or b"") for new in encoded]
