"""When a request can be read from a store: from when its events are all merged until it is too old."""

import numpy as np

from modules.kernel.plan import Entity
from modules.kernel.window import slots_of

_NEVER = np.iinfo(np.int64).min


def readable(entities: tuple[Entity, ...], times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The watermarks between which requests are answered completely, both included; int64, microseconds, (requests,).

    Args:
      entities: What is read.
      times: int64, shape (requests,): microseconds.
    """
    first = np.full(len(times), _NEVER)
    last = np.full(len(times), np.iinfo(np.int64).max)
    for entity in entities:
        source = entity.source
        slots = slots_of(times, source.tick)
        for feature in entity.features:
            stop = feature.window.edges(slots)[1] * source.tick
            first = np.maximum(first, stop + source.lateness + source.slack)
        last = np.minimum(last, (slots + source.lookback + 1) * source.tick - 1)
    return first, last


def pauses(first: np.ndarray, last: np.ndarray, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Watermarks at multiples of `every` at which each request can be read, and which of them it is read at.

    Returns:
      int64, ascending: the pauses; and int64, shape (requests,): the index of each request's pause, -1 for a request
      that is too old as soon as it is complete.
    """
    at = -(-first // every) * every
    at = np.where(at <= last, at, np.where(first <= last, last, _NEVER))
    distinct, index = np.unique(at, return_inverse=True)
    if len(distinct) and distinct[0] == _NEVER:
        return distinct[1:], index - 1
    return distinct, index
