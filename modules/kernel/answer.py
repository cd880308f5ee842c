"""The features of keys as of times: the same code over the cells of a history and over those of online rows."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from modules.kernel import registers
from modules.kernel.cells import LEAST, MOST, START, WIDTH, Owned, accumulate, rank_last
from modules.kernel.extremum import range_max
from modules.kernel.plan import ADDITIVE, PART_SIZES, Entity, Family, Feature, Part, Taking, needs
from modules.kernel.take import Columns
from modules.kernel.whole import EXACT, carry, divide, small, to_int
from modules.kernel.window import Windows

_SETS_AT_ONCE = 4096


class Answer(NamedTuple):
    """One feature for each request."""

    values: np.ndarray
    """int64 or float64, shape (requests,); the default where there is nothing to compute it from."""
    empty: np.ndarray
    """bool, shape (requests,): whether there is nothing to compute it from."""


@dataclasses.dataclass(frozen=True)
class Requests:
    """Who asks, and when; all arrays have the shape (requests,)."""

    owners: np.ndarray
    """int64: the owner of the cells asked for; -1 for none."""
    slots: np.ndarray
    """int64."""
    columns: Columns
    """The columns of the requests that features with `include_request` take in."""


def answer(entity: Entity, cells: Owned, marks: Owned, requests: Requests) -> dict[str, Answer]:
    """The features of an entity by name.

    Args:
      entity: Whose features.
      cells: Its cells by owner and start, as `row.decode` or `add_up` gives them.
      marks: Its registers, likewise.
      requests: Who asks.

    Raises:
      ValueError: An edge would cut a cell; a cell was coarsened although a request could still come.
    """
    found: dict[str, Answer] = {}
    if entity.exact:
        own = _own(entity, requests)
        ranges = _ranges(cells, entity.exact_families.windows, requests)
        prefixes: dict[Taking, np.ndarray] = {}
        for family in entity.exact_families.members:
            gather = _Gather(entity, cells.table, ranges[:, family.windows], prefixes)
            if own is not None and family.one.include_request:
                gather.include(own)
            _unfold(family, *_finish(family, gather), found)
    if entity.distinct:
        own_marks = _own_registers(entity, requests)
        ranges = _ranges(marks, entity.distinct_families.windows, requests)
        for family in entity.distinct_families.members:
            values = _distinct(entity, family.one, marks, ranges[:, family.windows], own_marks)
            _unfold(family, values, values == 0, found)
    return found


def _unfold(family: Family, values: np.ndarray, empty: np.ndarray, found: dict[str, Answer]) -> None:
    """Adds each feature of a family; float64 is its default where it is empty, and int64 0 as it is."""
    count = len(family.features)
    values, empty = values.reshape(count, -1), empty.reshape(count, -1)
    if values.dtype == np.float64:
        values = np.where(empty, family.defaults, values)
    for number, feature in enumerate(family.features):
        found[feature.name] = Answer(values[number], empty[number])


def _ranges(cells: Owned, windows: Windows, requests: Requests) -> np.ndarray:
    """The first cell of each request's windows, and the first after it; int64, shape (2, windows, requests)."""
    edges = windows.edges(requests.slots)
    if not len(cells):
        return np.zeros_like(edges)
    starts, widths = cells.table[START], cells.table[WIDTH]
    stops = starts + widths
    least = int(np.minimum.reduce(starts)) - 1
    span = int(np.maximum.reduce(stops)) - least + 2
    base = cells.owners * span - least
    starts = base + starts
    at = np.minimum(np.maximum(edges, least), least + span - 1)
    at += requests.owners * span - least  # below all cells for the owner -1, so that its ranges are empty
    found: np.ndarray = starts.searchsorted(at)
    if np.maximum.reduce(widths) > 1:
        stops = np.maximum.accumulate(base + stops)
        cut = (stops[found - 1] > at) & (found > 0)
        if cut.any():
            raise ValueError(f"an edge at slot {edges[cut][0]} would cut a cell")
    return found


class _Gather:
    """The accumulators of a family's windows for each request: n = features * requests, one feature after the other."""

    def __init__(
        self, entity: Entity, table: np.ndarray, ranges: np.ndarray, prefixes: dict[Taking, np.ndarray]
    ) -> None:
        """Looks at nothing yet.

        Args:
          entity: Whose cells.
          table: They.
          ranges: int64, shape (2, features, requests): of cells.
          prefixes: By value, what `sums` has found out of the table.
        """
        self._layout, self._table, self._prefixes = entity.layout, table, prefixes
        self._features = ranges.shape[1]
        self._ranges = ranges.reshape(2, -1)
        self._starts, self._stops = self._ranges
        self._own: np.ndarray | None = None

    def include(self, own: np.ndarray) -> None:
        """Adds the requests themselves, as cells; int64, shape (height, requests)."""
        self._own = np.tile(own, self._features)

    def sums(self, taking: Taking, parts: Sequence[Part]) -> list[np.ndarray]:
        """Sums in limbs, carried; int64, shape (size of the part, n) each.

        Args:
          taking: Of which values.
          parts: Neighbours out of count, sum, and squares.
        """
        rows = self._layout[taking]
        first = rows[parts[0]]
        stop = rows[parts[-1]] + PART_SIZES[parts[-1]]
        prefix, base = self._prefix(taking), next(iter(rows.values()))
        edges = prefix[first - base : stop - base].take(self._ranges, 1)
        total = edges[:, 1]
        total -= edges[:, 0]
        if self._own is not None:
            total += self._own[first:stop]
        found = []
        for part in parts:
            numbers = total[rows[part] - first : rows[part] - first + PART_SIZES[part]]
            carry(numbers)
            found.append(numbers)
        return found

    def _prefix(self, taking: Taking) -> np.ndarray:
        """What the additive parts, which come first, amount to before each cell; int64, shape (limbs, cells + 1)."""
        prefix = self._prefixes.get(taking)
        if prefix is None:
            rows = self._layout[taking]
            first = next(iter(rows.values()))
            stop = max(row + PART_SIZES[part] for part, row in rows.items() if part in ADDITIVE)
            prefix = np.zeros((stop - first, self._table.shape[1] + 1), np.int64)
            np.add.accumulate(self._table[first:stop], 1, None, prefix[:, 1:])
            self._prefixes[taking] = prefix
        return prefix

    def least(self, taking: Taking) -> np.ndarray:
        """The least value; int64, shape (requests,), MOST where there is none."""
        row = self._layout[taking]["min"]
        found = -1 - range_max(-1 - self._table[row], self._starts, self._stops, LEAST)
        return found if self._own is None else np.minimum(found, self._own[row])

    def most(self, taking: Taking) -> np.ndarray:
        """The greatest value; int64, shape (requests,), LEAST where there is none."""
        row = self._layout[taking]["max"]
        found = range_max(self._table[row], self._starts, self._stops, LEAST)
        return found if self._own is None else np.maximum(found, self._own[row])

    def last(self, taking: Taking) -> np.ndarray:
        """The value of the greatest (time, value); int64, shape (requests,), LEAST where there is none."""
        row = self._layout[taking]["last"]
        ranks, order = rank_last(self._table[row], self._table[row + 1])
        best = range_max(ranks, self._starts, self._stops, -1)
        values = np.full(len(best), LEAST, np.int64)
        values[best >= 0] = self._table[row + 1, order[best[best >= 0]]]
        if self._own is not None:  # the request is later than its window
            values = np.where(self._own[row + 1] == LEAST, values, self._own[row + 1])
        return values


def _finish(family: Family, gather: _Gather) -> tuple[np.ndarray, np.ndarray]:
    """From accumulators to values, and where there are none; each whole number is converted once, as designed.

    Returns:
      int64 or float64, and bool, shape (n,) both, see `_Gather`.
    """
    feature = family.one
    taking, scale = feature.taking, feature.taking.scale
    match feature.aggregation:
        case "count":
            ((count,),) = gather.sums(taking, ("count",))
            return count, count == 0
        case "min" | "max" | "last":
            find = {"min": gather.least, "max": gather.most, "last": gather.last}[feature.aggregation]
            values = find(taking)
            empty = values == (MOST if feature.aggregation == "min" else LEAST)
            return np.where(empty, 0, values) / float(scale) + 0.0, empty
        case "ratio":
            return _ratio(feature, gather)
        case "stddev":
            return _stddev(feature, gather)
    (count,), total = gather.sums(taking, ("count", "sum"))
    whole, fits = small(total)
    by = np.maximum(count, 1) if feature.aggregation == "mean" else np.ones_like(count)
    fits &= by < EXACT // scale
    return divide(whole, by * scale, fits, lambda at: (to_int(total[:, at]), int(by[at]) * scale)), count == 0


def _ratio(feature: Feature, gather: _Gather) -> tuple[np.ndarray, np.ndarray]:
    """`(A * kb) / (B * ka)`."""
    over = feature.over
    assert over is not None
    sides = []
    for (taking, parts), factor in zip(needs(feature), (over.scale, feature.taking.scale), strict=True):
        (limbs,) = gather.sums(taking, parts)
        limbs = limbs if taking.value is not None else _with_high(limbs[0])
        whole, fits = small(limbs)
        sides.append((limbs, whole, fits & (np.abs(whole) <= (EXACT - 1) // factor), factor))
    (a, a_whole, a_fits, kb), (b, b_whole, b_fits, ka) = sides
    empty = (b == 0).all(axis=0)
    divisor = b_whole * np.where(b_fits, ka, 0)
    divisor += divisor == 0
    values = divide(
        a_whole * np.where(a_fits, kb, 0),
        divisor,
        (a_fits & b_fits) | empty,
        lambda at: (to_int(a[:, at]) * kb, to_int(b[:, at]) * ka),
    )
    return values, empty


def _with_high(counts: np.ndarray) -> np.ndarray:
    limbs = np.stack([counts, np.zeros_like(counts)])
    carry(limbs)
    return limbs


def _stddev(feature: Feature, gather: _Gather) -> tuple[np.ndarray, np.ndarray]:
    """`sqrt((n * S2 - S1^2) / (n * (n - 1))) / k`, of the sample."""
    (count,), total, squares = gather.sums(feature.taking, ("count", "sum", "squares"))
    (s1, fits), (s2, fits_too) = small(total), small(squares)
    exact = fits & fits_too & (s2 <= (EXACT - 1) // np.maximum(count, 1)) & (count < 2**26)
    n, s1, s2 = (values * exact for values in (count, s1, s2))

    def in_full(at: int) -> tuple[int, int]:
        many = int(count[at])
        return many * to_int(squares[:, at]) - to_int(total[:, at]) ** 2, many * (many - 1) or 1

    variance = divide(n * s2 - s1 * s1, np.maximum(n * (n - 1), 1), exact, in_full)
    return np.sqrt(variance) / feature.taking.scale, count < 2


def _own(entity: Entity, requests: Requests) -> np.ndarray | None:
    """The requests as cells; int64, shape (height, requests)."""
    included = [feature for feature in entity.exact if feature.include_request]
    if not included:
        return None
    takings = {taking: None for feature in included for taking, _ in needs(feature)}
    return accumulate(entity, takings, requests.columns, requests.slots, requests.slots)


def _own_registers(entity: Entity, requests: Requests) -> tuple[np.ndarray, np.ndarray]:
    if not any(feature.include_request for feature in entity.distinct):
        return np.empty((registers.HEIGHT, 0), np.int64), np.empty(0, np.int64)
    included = {feature.taking for feature in entity.distinct if feature.include_request}
    return registers.registers(entity, included, requests.columns, requests.slots, 1)


def _distinct(
    entity: Entity, feature: Feature, marks: Owned, ranges: np.ndarray, own: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """approx_distinct: the registers of windows united, once for all requests that see the same; int64, shape (n,).

    Args:
      entity: Whose registers.
      feature: One of the family.
      marks: They.
      ranges: int64, shape (2, features, requests): of registers.
      own: The registers that requests set, and the request of each.
    """
    number = entity.counted.index(feature.taking)
    starts, stops = ranges.reshape(2, -1)
    packed = marks.table[2]
    if feature.include_request:
        which = np.arange(len(starts))
        requests = ranges.shape[2]
        firsts = np.arange(ranges.shape[1])[:, None] * requests
        words, sets = np.tile(own[0][2], len(firsts)), (own[1] + firsts).ravel()
        own_words, own_sets = words, sets
    else:
        pairs, which = np.unique(starts * (len(packed) + 1) + stops, return_inverse=True)
        starts, stops = np.divmod(pairs, len(packed) + 1)
        own_words = own_sets = np.empty(0, np.int64)
    counts = np.zeros(len(starts), np.int64)
    for first in range(0, len(starts), _SETS_AT_ONCE):
        chunk = slice(first, first + _SETS_AT_ONCE)
        lengths = np.maximum(stops[chunk] - starts[chunk], 0)
        sets = np.repeat(np.arange(len(lengths)), lengths)
        offsets = np.arange(len(sets)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        words = packed[np.repeat(starts[chunk], lengths) + offsets]
        if feature.include_request:
            here = (own_sets >= first) & (own_sets < first + _SETS_AT_ONCE)
            sets, words = np.concatenate([sets, own_sets[here] - first]), np.concatenate([words, own_words[here]])
        mine = registers.number_of(words) == number
        counts[chunk] = registers.estimate(registers.ranks_of(words[mine], sets[mine], len(lengths)))
    return counts[which]
