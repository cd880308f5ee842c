"""What additive accumulators amount to before each cell of a table: a range is the difference of two columns."""

import numpy as np

from modules.kernel.whole import EXACT, bound, joined


class Prefixes:
    """Those of one table; each is added up once, when it is first asked for."""

    def __init__(self, table: np.ndarray) -> None:
        """Adds up nothing yet.

        Args:
          table: int64, shape (height, cells).
        """
        self._table = table
        self._added: dict[tuple[int, bool], np.ndarray] = {}
        self._bounds: dict[int, float] = {}

    def count(self, row: int) -> np.ndarray:
        """int64, shape (1, cells + 1)."""
        return self._prefix(row, 1, whole=False)

    def bound(self, row: int, size: int) -> float:
        """At least what the sizes of the numbers of some rows, limbs, add up to."""
        if row not in self._bounds:
            self._bounds[row] = bound(self._table[row : row + size])
        return self._bounds[row]

    def sum(self, row: int, size: int, more: float) -> np.ndarray:
        """int64, shape (size, cells + 1): limbs; of shape (1, cells + 1) if nothing can get as large as 2^53.

        Args:
          row: The first limb's.
          size: How many there are.
          more: At least the size of what may come on top.
        """
        return self._prefix(row, size, whole=self.bound(row, size) + more < EXACT)

    def _prefix(self, row: int, size: int, *, whole: bool) -> np.ndarray:
        found = self._added.get((row, whole))
        if found is None:
            numbers = self._table[row : row + size]
            if whole:
                numbers = joined(numbers)[None]
            found = np.empty((len(numbers), numbers.shape[1] + 1), np.int64)
            found[:, 0] = 0
            np.add.accumulate(numbers, 1, None, found[:, 1:])
            self._added[row, whole] = found
        return found
