"""A small declaration to change, and what the reader says of the change."""

from pathlib import Path

import pytest

from modules.spec import Declaration, DeclarationError, load_declaration

SHOP = """\
dataset: shop
data: rows.csv
columns:
  at: {type: timestamp, unit: s, role: time}
  price: {type: float, role: feature, transform: {name: scale}}
  count: {type: int, role: feature, transform: {name: one_hot, depth: 4}, missing: own_category}
  colour: {type: string, role: feature, transform: {name: vocabulary, top: 10}}
  gift: {type: bool, role: feature, transform: {name: passthrough}}
  shopper: {type: string, role: key}
  note: {type: string, role: ignored}
  spent: {type: float, role: label}
  bought: {type: int, role: label}
label: {name: bought, column: bought}
split: {by: time, validation: 0.1, eval: 0.2}
evaluation: {thresholds: {auc: {at_least: 0.5}}}
"""


def load(directory: Path, *overrides: str, text: str | bytes = SHOP) -> Declaration:
    """The declaration that a file of this text gives."""
    path = directory / "features.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_declaration(path, overrides)


def refusal(directory: Path, *overrides: str, text: str | bytes = SHOP) -> str:
    """The message with which it is refused, the directory left out."""
    with pytest.raises(DeclarationError) as caught:
        load(directory, *overrides, text=text)
    return str(caught.value).replace(f"{directory}/", "")


LIVE = (
    SHOP
    + """\
live:
  lookback: 2h
  sources:
    orders: {time: at, lateness: 5m}
    visits:
      columns:
        seen: {type: timestamp, unit: ms}
        logged: {type: timestamp, unit: ms}
        visit: {type: string}
        shopper: {type: string}
        page: {type: string}
        seconds: {type: float}
        clicks: {type: int}
        bot: {type: bool}
      time: seen
      ingest_time: logged
      id: [visit]
      lateness: 1h
      ahead: 1s
      slack: 10m
      batch: visits.parquet
      stream: kafka://broker:9092/visits
  features:
    orders_7d: {source: orders, key: [shopper], aggregation: count, window: 7d}
    price_mean_1h:
      source: orders
      key: [shopper]
      aggregation: mean
      value: price
      scale: 100
      window: 1h
      include_request: true
      default: 0
    spent_30d: {source: orders, key: [shopper], aggregation: sum, value: spent, scale: 100, window: 30d, delay: 1d}
    visits_1d:
      description: Visits of a day, robots left out.
      source: visits
      key: [shopper]
      aggregation: count
      filter: [{column: bot, one_of: [false]}, {column: clicks, at_least: 1}]
      window: 1d
      delay: 1h
      transform: {name: log}
    pages_1d: {source: visits, key: [shopper], aggregation: approx_distinct, value: page, window: 1d}
    clicks_by_second_1d:
      source: visits
      key: [shopper]
      aggregation: ratio
      value: clicks
      over: {value: seconds, scale: 1000}
      window: 1d
      delay: 1h
      default: -1
      step: 1m
      edge: 10s
"""
)
