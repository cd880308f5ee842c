"""The rides of `tests/pipeline/live`, with features of every type, and a key of two columns."""

import datetime
from pathlib import Path
from typing import Any

from modules.spec import Declaration, load_declaration
from tests.pipeline.live.rides import DECLARATION, payments, rides

_COLUMNS = """\
  amount: {type: float, role: feature, transform: {name: scale}}
  seconds: {type: int, role: feature, transform: {name: scale}, missing: mean}
  company: {type: string, role: feature, transform: {name: hash, buckets: 5}, missing: own_category}
  shared: {type: bool, role: feature, transform: {name: vocabulary, top: 2}}
"""
_LIVE = """\
    pair: {source: rides, key: [rider, area], aggregation: count, window: 10m}
    own_sum: {source: rides, key: [rider], aggregation: sum, value: amount, scale: 100, window: 1h,
      include_request: true}
label:"""
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
RIDES = rides(300)
END = RIDES[-1]["taken_in"]
EVENTS = {"rides": RIDES, "payments": [event for event in payments(RIDES) if event["taken_in"] <= END]}
AMOUNT = "  amount: {type: float, role: feature, transform: {name: scale}}\n"


def declare(directory: Path, *overrides: str) -> Declaration:
    """The declaration, in `shop.yaml`."""
    path = directory / "shop.yaml"
    path.write_text(DECLARATION.replace(AMOUNT, _COLUMNS).replace("label:", _LIVE, 1))
    return load_declaration(path, overrides)


def row(**changes: Any) -> dict[str, Any]:
    """A request at the end of the events, from a rider and an area that are known; None as a value is null."""
    return {"at": END, "rider": 0, "area": "area 0", "amount": 12.34, "shared": True} | changes


def without(*names: str) -> dict[str, Any]:
    """A request without some fields."""
    return {name: value for name, value in row().items() if name not in names}


def micros(text: str) -> int:
    """A reply's time."""
    return (datetime.datetime.fromisoformat(text) - EPOCH) // datetime.timedelta(microseconds=1)
