"""A small dataset that is hard on every rule: a replay of it finds whichever is broken.

Events lie on the edges of slots, windows and cells, several at one time; they are taken in exactly as late, and exactly
as early, as still counts, and a microsecond beyond; some are there twice, some with other content or key; numbers are
so large that floats would not add up to the same in another order; keys, values and filters are null. Requests lie on
the same edges.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modules.spec import Declaration, load_declaration

DECLARATION = """\
dataset: rides
data: requests.jsonl
columns:
  at: {type: timestamp, unit: us, role: time}
  rider: {type: int, role: key}
  area: {type: string, role: key}
  amount: {type: float, role: feature, transform: {name: scale}}
  good: {type: int, role: label}
live:
  lookback: 2m
  sources:
    rides:
      columns:
        at: {type: timestamp, unit: us}
        taken_in: {type: timestamp, unit: us}
        number: {type: int}
        rider: {type: int}
        area: {type: string}
        amount: {type: float}
        kind: {type: string}
      batch: rides-*.jsonl
      time: at
      ingest_time: taken_in
      id: [number]
      lateness: 20s
      ahead: 5s
    tips:
      columns:
        at: {type: timestamp, unit: us}
        number: {type: int}
        rider: {type: int}
        tip: {type: float}
      batch: tips.jsonl
      time: at
      id: [number]
      lateness: 2m
  features:
    rides_1m: {source: rides, key: [rider], aggregation: count, window: 1m}
    rides_10m: {source: rides, key: [rider], aggregation: count, window: 10m, step: 1m, edge: 10s, delay: 30s}
    spent: {source: rides, key: [rider], aggregation: sum, value: amount, scale: 100, window: 5m}
    mean_spent: {source: rides, key: [rider], aggregation: mean, value: amount, scale: 100, default: -1, window: 10m,
                 step: 10s}
    last_spent: {source: rides, key: [rider], aggregation: last, value: amount, scale: 100, default: -1, window: 5m}
    least_spent: {source: rides, key: [rider], aggregation: min, value: amount, scale: 100, default: -1, window: 1m}
    spread: {source: rides, key: [rider], aggregation: stddev, value: amount, scale: 100, default: -1, window: 5m,
             filter: [{column: amount, at_least: 0, below: 1000}]}
    with_this: {source: rides, key: [rider], aggregation: sum, value: amount, scale: 100, window: 1m,
                include_request: true}
    areas: {source: rides, key: [rider], aggregation: approx_distinct, value: area, window: 10m}
    cards: {source: rides, key: [area], aggregation: count, filter: [{column: kind, one_of: [card]}], window: 5m}
    tipped: {source: tips, key: [rider], aggregation: sum, value: tip, scale: 100, window: 5m, delay: 2m}
    tip_share: {source: tips, key: [rider], aggregation: ratio, value: tip, scale: 100, over: {}, default: -1,
                window: 10m, delay: 2m}
label: {name: big, column: good}
split: {by: time, validation: 0.1, eval: 0.2}
evaluation: {thresholds: {auc: {at_least: 0.0}}}
"""
_SECOND = 1_000_000
_BEGIN = 1_400_000_040 * _SECOND
_MINUTES = 12
_RIDES, _TIPS, _REQUESTS = 280, 120, 400
_LATENESS, _AHEAD = 20 * _SECOND, 5 * _SECOND
_OFFSETS = (0, 1, 30, 60, 61, 120, 121, 300, 301, 420, 421, 600, 601)
"""Seconds after an event at which it enters or leaves a window."""

Row = dict[str, Any]


def declare(directory: Path, *overrides: str) -> Declaration:
    """The declaration, as it is in `features.yaml`."""
    path = directory / "features.yaml"
    path.write_text(DECLARATION)
    return load_declaration(path, overrides)


def write(directory: Path) -> dict[str, list[str]]:
    """Writes events and `requests.jsonl`; where the events of each source are."""
    chance = np.random.default_rng(7)
    rides, tips = _rides(chance), _tips(chance)
    halves = [_write(directory / f"rides-{half}.jsonl", rides[half::2]) for half in range(2)]
    _write(directory / "requests.jsonl", _requests(chance, rides, tips))
    return {"rides": halves, "tips": [_write(directory / "tips.jsonl", tips)]}


def _time(chance: np.random.Generator) -> int:
    """In a slot's middle, at its very start, at its very end, or at the start of a slot that is an edge of cells."""
    at = _BEGIN + int(chance.integers(_MINUTES * 60)) * _SECOND
    return at + (int(chance.integers(_SECOND)), 0, _SECOND - 1, -(at % (10 * _SECOND)))[chance.integers(4)]


def _rides(chance: np.random.Generator) -> list[Row]:
    rides: list[Row] = []
    for number in range(_RIDES):
        before = rides[-1]["at"] if rides and chance.random() < 0.2 else None
        at = before or _time(chance)
        delays = (None, 0, int(chance.integers(_LATENESS)), _LATENESS, _LATENESS, _LATENESS + 1, -_AHEAD, -_AHEAD - 1)
        delay = delays[chance.integers(len(delays))]
        amounts = (round(float(chance.gamma(2, 6)), 2), 8.9e13 + chance.integers(100) / 100, -8.9e13, 7.85, None, 1e15)
        rides.append(
            {
                "at": at,
                "taken_in": None if delay is None else at + delay,
                "number": number,
                "rider": rides[-1]["rider"] if before else (0, 0, 1, 2, None)[chance.integers(5)],
                "area": ("north", "south", "a,b", "", None)[chance.integers(5)],
                "amount": amounts[chance.choice(6, p=(0.4, 0.2, 0.2, 0.1, 0.09, 0.01))],
                "kind": ("card", "cash", "token", None)[chance.integers(4)],
            }
        )
    rides.append(
        {**rides[0], "at": _BEGIN, "taken_in": None, "number": -1, "rider": 99, "area": "north", "kind": "card"}
    )
    again = [dict(rides[at]) for at in chance.choice(_RIDES, _RIDES // 8)]
    others = [rides[at] | {"amount": 1.25, "kind": "card"} for at in chance.choice(_RIDES, _RIDES // 8)]
    elsewhere = [rides[at] | {"rider": 1} for at in chance.choice(_RIDES, _RIDES // 16)]
    rides += again + others + elsewhere
    chance.shuffle(rides)
    return rides


def _tips(chance: np.random.Generator) -> list[Row]:
    return [
        {
            "at": _time(chance),
            "number": number,
            "rider": (0, 0, 1, 2, None)[chance.integers(5)],
            "tip": round(float(chance.gamma(1, 2)), 2),
        }
        for number in range(_TIPS)
    ]


def _requests(chance: np.random.Generator, rides: Sequence[Row], tips: Sequence[Row]) -> list[Row]:
    rare = [row for row in rides if row["rider"] == 99]
    asked = [*(rare * len(_OFFSETS)), *(rides[at] for at in chance.choice(len(rides), _REQUESTS))]
    asked += [tips[at] for at in chance.choice(len(tips), _REQUESTS // 3)]
    return [
        {
            "at": row["at"] + _OFFSETS[number % len(_OFFSETS)] * _SECOND,
            "rider": row["rider"],
            "area": row.get("area", "north"),
            "amount": (3.25, None)[number % 2],
            "good": number % 2,
        }
        for number, row in enumerate(asked)
    ]


def _write(path: Path, rows: Sequence[Row]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)
