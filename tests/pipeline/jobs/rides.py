"""A small dataset with two sources of events, and its live features said a second time by the kernel's oracle."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from modules.live import entities
from modules.spec import Declaration, load_declaration
from tests.modules.kernel.oracle import Event, expected, slot

RIDES = """\
dataset: rides
data: rides.parquet
columns:
  at: {type: timestamp, unit: s, role: time}
  cab: {type: int, role: key}
  zone: {type: string, role: key}
  fare: {type: float, role: feature, transform: {name: scale}}
  note: {type: string, role: ignored}
  tip: {type: float, role: label}
  big: {type: int, role: label}
live:
  sources:
    rides: {time: at, lateness: 1h}
    payments:
      columns:
        paid: {type: timestamp, unit: ms}
        logged: {type: timestamp, unit: ms}
        cab: {type: int}
        number: {type: int}
        amount: {type: float}
        kind: {type: string}
        memo: {type: string}
      time: paid
      ingest_time: logged
      batch: payments.jsonl
      id: [number]
      lateness: 10m
      ahead: 5s
  features:
    rides_1h: {source: rides, key: [cab], aggregation: count, window: 1h}
    fare_6h: {source: rides, key: [cab], aggregation: mean, value: fare, scale: 100, default: -1, window: 6h}
    fare_now: {source: rides, key: [cab], aggregation: sum, value: fare, scale: 100, window: 2h, include_request: true}
    fare_spread: {source: rides, key: [cab], aggregation: stddev, value: fare, scale: 100, default: 0, window: 1d}
    tips: {source: rides, key: [cab], aggregation: ratio, value: tip, scale: 100, over: {value: fare, scale: 100},
           default: -1, window: 1d, delay: 1h}
    paid_numbers: {source: payments, key: [cab], aggregation: approx_distinct, value: number, window: 1d}
    cheap_here: {source: rides, key: [zone, cab], aggregation: count, filter: [{column: fare, below: 10}], window: 1d}
    paid_last: {source: payments, key: [cab], aggregation: last, value: amount, scale: 1000, default: -2, window: 1d}
    paid_most: {source: payments, key: [cab], aggregation: max, value: amount, scale: 1000, default: -2, window: 3h,
                filter: [{column: kind, one_of: [card, cash]}]}
label: {name: big, column: big}
split: {by: time, validation: 0.1, eval: 0.2}
evaluation: {thresholds: {auc: {at_least: 0.5}}}
"""
START = 1_400_000_000
HOURS = 30


def declare(directory: Path, *overrides: str, text: str = RIDES) -> Declaration:
    """The declaration that a file of this text gives."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "features.yaml"
    path.write_text(text)
    return load_declaration(path, overrides)


@dataclasses.dataclass
class Made:
    """Rows as they are written, in no order of time."""

    rides: list[dict[str, Any]]
    payments: list[dict[str, Any]]


def make(seed: int, rides: int = 150, payments: int = 120, cabs: int = 4) -> Made:
    """Random rides and payments: with nulls, ties in time, repeated events, and payments that are late."""
    random = np.random.default_rng(seed)

    def pick(values: Sequence[Any], nulls: float = 0.0) -> Any:
        return None if random.random() < nulls else values[int(random.integers(len(values)))]

    def ride() -> dict[str, Any]:
        at = START + int(random.integers(HOURS * 3600)) // 7 * 7
        fare = round(float(random.gamma(2, 6)), 2)
        return {
            "at": at,
            "cab": pick(range(cabs), 0.1),
            "zone": pick(["north", "south", "ring, east", ""], 0.1),
            "fare": None if random.random() < 0.1 else fare,
            "note": pick(["a", 'say "b"'], 0.3),
            "tip": round(fare * float(random.random()) / 3, 2),
            "big": int(random.integers(2)),
        }

    def payment(number: int) -> dict[str, Any]:
        paid = START * 1000 + int(random.integers(HOURS * 3_600_000))
        return {
            "paid": paid,
            "logged": None if random.random() < 0.2 else paid + int(random.integers(-60_000, 900_000)),
            "cab": pick(range(cabs), 0.1),
            "number": number,
            "amount": round(float(random.normal(20, 15)), 3),
            "kind": pick(["card", "cash", "token"], 0.1),
            "memo": "m",
        }

    made = Made([ride() for _ in range(rides)], [payment(number) for number in range(payments)])
    made.payments += [dict(made.payments[at]) for at in random.integers(0, payments, payments // 8)]
    return made


def write(path: Path, rows: list[dict[str, Any]], columns: Sequence[str] | None = None) -> Path:
    """Rows as a file of the format that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(columns or rows[0])
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({name: row[name] for name in names}) + "\n" for row in rows))
        return path
    table = pa.Table.from_pydict({name: [row[name] for row in rows] for name in names})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        pyarrow.csv.write_csv(table, path, pyarrow.csv.WriteOptions(quoting_style="needed"))
    return path


def read(output: Path) -> list[dict[str, Any]]:
    """The rows of an output, in the order of its files."""
    return [row for path in sorted(output.iterdir()) for row in pq.read_table(path).to_pylist()]


def values(declaration: Declaration, made: Made, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The live features of requests, by the oracle."""
    events: dict[str, list[Event]] = {
        "rides": [{**row, "at": row["at"] * 1_000_000} for row in made.rides],
        "payments": [
            {**row, "paid": row["paid"] * 1000, "logged": row["logged"] and row["logged"] * 1000}
            for row in made.payments
        ],
    }
    found = []
    for request in requests:
        answers = {}
        for entity in entities(declaration):
            key = tuple(request[name] for name in entity.key)
            asked = slot(request["at"] * 1_000_000, entity.source.tick)
            for feature in entity.features:
                answer = expected(
                    entity, feature, events[entity.source.name], None if None in key else key, asked, request
                )
                answers[feature.name] = answer.value
        found.append(answers)
    return found
