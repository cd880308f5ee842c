"""How wide cells may be: never so wide that an edge of a request that can still come would cut one."""

from collections.abc import Sequence

import numpy as np

from modules.kernel.window import Window


def finest(windows: Sequence[Window]) -> int:
    """The width that no edge of any request cuts, ever."""
    return min(window.finest for window in windows)


def widths(windows: Sequence[Window], starts: np.ndarray, floors: np.ndarray) -> np.ndarray:
    """How wide the cell of each slot may be, aligned to its width; 0 where no request needs it; int64, shape (slots,).

    The widths are those to which the windows' edges move, of which each divides the next.

    A cell may be joined to the next width if, for each window, its end is below every start that a request at or after
    its floor can have; or below every stop, where only starts can cut it, at multiples of `step`; or else if both edges
    fall on multiples of the width.

    Args:
      windows: Of the features that read the cells.
      starts: int64, shape (slots,).
      floors: int64, shape (slots,): no request of a slot below it is answered.
    """
    result = np.zeros(len(starts), np.int64)
    edges = [(window, *window.edges(floors)) for window in windows]
    for width in sorted({1, *(w.step for w in windows), *(w.edge for w in windows)}):
        stop = starts // width * width + width
        fits, needed = np.ones(len(starts), bool), np.zeros(len(starts), bool)
        for window, low, high in edges:
            fits &= (stop <= low) | ((stop <= high) & (window.step % width == 0)) | (window.finest % width == 0)
            needed |= stop > low
        result[fits & needed] = width
    return result
