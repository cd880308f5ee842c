"""The greatest of each of many ranges of one array, by doubling: n log n steps for all ranges together."""

import numpy as np


def range_max(values: np.ndarray, starts: np.ndarray, stops: np.ndarray, empty: int) -> np.ndarray:
    """The greatest value of each range `[start, stop)`; int64, shape (ranges,).

    Args:
      values: int64, shape (n,).
      starts: int64, shape (ranges,), in [0, n].
      stops: int64, shape (ranges,), in [0, n].
      empty: The result of a range that holds nothing.
    """
    result = np.full(len(starts), empty, np.int64)
    lengths = stops - starts
    level = np.frexp(lengths.astype(np.float64))[1] - 1  # the greatest power of two in the length
    level[lengths <= 0] = -1
    table = values
    for power in range(int(level.max(initial=-1)) + 1):
        if power:
            half = 1 << (power - 1)
            table = np.maximum(table[:-half], table[half:])
        here = np.flatnonzero(level == power)
        if len(here):
            result[here] = np.maximum(table[starts[here]], table[stops[here] - (1 << power)])
    return result
