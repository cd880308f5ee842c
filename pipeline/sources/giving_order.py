"""In which order recorded events are given: that of their ingest times, or shuffled within a bound, some twice.

What chance decides for an item depends on the seed and on the item's index alone.
"""

import dataclasses

import numpy as np

from pipeline.sources.source import EARLIEST


@dataclasses.dataclass(frozen=True)
class Chance:
    """What is done to recorded events on purpose."""

    delay: int = 0
    """Microseconds, the most that is added to an ingest time."""
    shuffle: int = 0
    """Microseconds of ingest time, the furthest that an event is given from its place."""
    duplicates: float = 0.0
    """The share of events that are given twice, 0 to 1."""
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class GivingOrder:
    """The order of n givings."""

    item: np.ndarray
    """int64, shape (n,): the index of the item that is given."""
    ingest: np.ndarray
    """int64, shape (n,): its ingest time, in microseconds."""
    due: np.ndarray
    """int64, shape (n,), ascending: the time at which it is given; never before its ingest time, and at most `shuffle`
    after it."""
    least: np.ndarray
    """int64, shape (n + 1,), ascending: the least ingest time from here on; the last is the `end`."""


def giving_order(ingest: np.ndarray, chance: Chance, after_last: int) -> GivingOrder:
    """Orders items by ingest time, those of the same time by index.

    Shuffled, an item is due at a random time up to `shuffle` after its ingestion, so what is given before it was
    ingested at most `shuffle` later, and what is given after it at most `shuffle` earlier. A second giving is due at a
    random time from the first one's on, within the same bound.

    Args:
      ingest: int64, shape (items,): microseconds.
      chance: What is done to them on purpose.
      after_last: How far past the last ingest time the watermark may move after the last item, in microseconds.
    """
    index = np.arange(len(ingest))
    ingest = ingest + _random(index, chance.seed, 0, np.full(len(ingest), chance.delay))
    moved = _random(index, chance.seed, 1, np.full(len(ingest), chance.shuffle))
    again = _unit(index, chance.seed, 2) < chance.duplicates
    item = np.repeat(index, 1 + again)
    due = (ingest + moved)[item]
    second = np.flatnonzero(item[1:] == item[:-1]) + 1
    due[second] += _random(item[second], chance.seed, 3, chance.shuffle - moved[item[second]])
    order = np.argsort(due, kind="stable")
    item = item[order]
    given = ingest[item]
    end = given.max() + after_last if len(given) else EARLIEST
    least = np.minimum.accumulate(np.append(given, end)[::-1])[::-1]
    return GivingOrder(item, given, due[order], least)


def _random(index: np.ndarray, seed: int, purpose: int, most: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 to `most`, both included."""
    return np.floor(_unit(index, seed, purpose) * (most + 1)).astype(np.int64)


def _unit(index: np.ndarray, seed: int, purpose: int) -> np.ndarray:
    """Numbers from 0 to below 1, each from its index, the seed and the purpose alone."""
    state = _mix(np.array([seed * 4 + purpose], np.uint64)) ^ index.astype(np.uint64)
    return (_mix(state) >> np.uint64(11)) * 2.0**-53


def _mix(number: np.ndarray) -> np.ndarray:
    """One step of SplitMix64 (https://prng.di.unimi.it/splitmix64.c)."""
    number = number + np.uint64(0x9E3779B97F4A7C15)
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))
