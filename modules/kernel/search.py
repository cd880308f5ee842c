"""Where ranges of slots are among the cells of some owners."""

import numpy as np

_MOST = np.iinfo(np.int64).max


class Search:
    """The cells of a table, by owner and start; what does not depend on who asks is worked out once."""

    def __init__(self, starts: np.ndarray, widths: np.ndarray, owners: np.ndarray) -> None:
        """Looks for nothing yet.

        Args:
          starts: int64, shape (cells,).
          widths: Likewise.
          owners: Likewise; the cells are sorted by owner, then start.
        """
        self._owners, self._starts, self._stops = owners, starts, starts + widths
        if len(owners):
            self._alone = not owners[-1]
            """Whether they are of one owner, so that no neighbour's are in the way."""
            self._wide = bool(np.maximum.reduce(widths) > 1)
            self._least = int(np.minimum.reduce(starts)) - 1
            self._span = int(np.maximum.reduce(self._stops)) - self._least + 2
            self._fits = (int(owners[-1]) + 2) * self._span <= _MOST
            if self._fits:
                self._lines = self._lined(starts, self._stops, self._least, self._span)

    def ranges(self, edges: np.ndarray, owners: np.ndarray) -> np.ndarray:
        """The first cell of each range, and the first after it; of the shape of `edges`.

        Args:
          edges: int64, shape (2, windows, requests): `start` and `stop` of slots.
          owners: int64, shape (requests,): whose cells; -1 for nobody's.

        Raises:
          ValueError: An edge would cut a cell.
        """
        if not len(self._owners):
            return np.zeros_like(edges)
        least, span, bounds = self._least, self._span, edges
        if self._fits:
            starts, reached = self._lines
        else:  # years apart, in small ticks: ranks are compared in place of slots
            slots = np.unique(np.concatenate([self._starts, self._stops, edges.ravel()]))
            ranks, ends, bounds = (slots.searchsorted(each) for each in (self._starts, self._stops, edges))
            least, span = -1, len(slots) + 2
            starts, reached = self._lined(ranks, ends, least, span)
        if self._alone and len(owners) == 1 and owners[0] == 0:
            at = bounds - least
        else:
            at = np.minimum(np.maximum(bounds, least), least + span - 1)
            at += owners * span - least  # below all cells for the owner -1, so that its ranges are empty
        found: np.ndarray = starts.searchsorted(at)
        if self._wide:
            before = reached.searchsorted(at, "right")  # cells that stop there, or earlier
            if (cut := before != found).any():
                raise ValueError(f"an edge at slot {edges[cut][0]} would cut a cell")
        return found

    def _lined(self, starts: np.ndarray, stops: np.ndarray, least: int, span: int) -> tuple[np.ndarray, np.ndarray]:
        """The owners' cells on one line, each with a stretch of its own: where they start, and how far they reach."""
        base = self._owners * span - least
        return base + starts, np.maximum.accumulate(base + stops) if self._wide else starts
