"""The features of keys as of times: the same code over the cells of a history and over those of online rows."""

import dataclasses

import numpy as np

from modules.kernel import registers
from modules.kernel.cells import LEAST, MOST, START, WIDTH, Owned, accumulate, rank_last
from modules.kernel.extremum import range_max
from modules.kernel.plan import Entity, Feature, Part, Taking, needs
from modules.kernel.take import Columns
from modules.kernel.whole import EXACT, carry, divide, small, to_int
from modules.kernel.window import Window

_SETS_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True)
class Answer:
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
    own = _own(entity, requests)
    found: dict[str, Answer] = {}
    prefixes: dict[tuple[Taking, Part], np.ndarray] = {}
    ranges: dict[Window, tuple[np.ndarray, np.ndarray]] = {}
    index = _Index(cells, requests) if entity.exact else None
    for feature in entity.exact:
        assert index is not None
        if feature.window not in ranges:
            ranges[feature.window] = index.range(feature.window)
        gather = _Gather(
            entity, cells.table, *ranges[feature.window], own if feature.include_request else None, prefixes
        )
        found[feature.name] = _finish(feature, gather)
    if entity.distinct:
        index = _Index(marks, requests)
        own_marks = _own_registers(entity, requests)
        for feature in entity.distinct:
            found[feature.name] = _distinct(entity, feature, marks, index, own_marks)
    return found


class _Index:
    """Finds the ranges of cells that requests see."""

    def __init__(self, cells: Owned, requests: Requests) -> None:
        self._requests = requests
        starts = cells.table[START]
        stops = starts + cells.table[WIDTH]
        self._least = int(starts.min()) - 1 if len(starts) else -1
        self._span = (int(stops.max()) if len(stops) else 0) - self._least + 2
        base = cells.owners * self._span - self._least
        self._starts = base + starts
        self._wide = bool((cells.table[WIDTH] != 1).any())
        self._stops = np.maximum.accumulate(base + stops) if self._wide else self._starts
        self._base = requests.owners * self._span - self._least

    def range(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """The first cell of each request's window, and the first after it; int64, shape (requests,) both."""
        low, high = window.edges(self._requests.slots)
        result = []
        for edges in (low, high):
            edge = self._base + np.clip(edges, self._least, self._least + self._span - 1)
            at = np.searchsorted(self._starts, edge)
            if self._wide:
                before = np.maximum(at - 1, 0)
                cut = (at > 0) & (self._stops[before] > edge) & (self._requests.owners >= 0)
                if cut.any():
                    raise ValueError(f"an edge at slot {edges[np.flatnonzero(cut)[0]]} would cut a cell")
            result.append(at)
        nobody = self._requests.owners < 0
        result[1][nobody] = result[0][nobody] = 0
        return result[0], result[1]


class _Gather:
    """The accumulators of one window for each request."""

    def __init__(
        self,
        entity: Entity,
        table: np.ndarray,
        starts: np.ndarray,
        stops: np.ndarray,
        own: np.ndarray | None,
        prefixes: dict[tuple[Taking, Part], np.ndarray],
    ) -> None:
        self._layout, self._table, self._starts, self._stops = entity.layout, table, starts, stops
        self._own, self._prefixes = own, prefixes

    def count(self, taking: Taking) -> np.ndarray:
        """How many values were taken in; int64, shape (requests,)."""
        return self._sum(taking, "count", 1)[0]

    def sum(self, taking: Taking) -> np.ndarray:
        """Their sum in limbs; int64, shape (2, requests)."""
        return self._sum(taking, "sum", 2)

    def squares(self, taking: Taking) -> np.ndarray:
        """The sum of their squares in limbs; int64, shape (4, requests)."""
        return self._sum(taking, "squares", 4)

    def _sum(self, taking: Taking, part: Part, size: int) -> np.ndarray:
        row = self._layout[taking][part]
        prefix = self._prefixes.get((taking, part))
        if prefix is None:
            prefix = np.zeros((size, self._table.shape[1] + 1), np.int64)
            np.cumsum(self._table[row : row + size], axis=1, out=prefix[:, 1:])
            self._prefixes[taking, part] = prefix
        total = prefix.take(self._stops, axis=1)
        total -= prefix.take(self._starts, axis=1)
        if self._own is not None:
            total += self._own[row : row + size]
        carry(total)
        return total

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


def _finish(feature: Feature, gather: _Gather) -> Answer:
    """From accumulators to the value; formulas are those of the design: each whole number is converted once."""
    taking, scale = feature.taking, feature.taking.scale
    if feature.aggregation == "count":
        count = gather.count(taking)
        return Answer(count, count == 0)
    if feature.aggregation in ("min", "max", "last"):
        find = {"min": gather.least, "max": gather.most, "last": gather.last}[feature.aggregation]
        values = find(taking)
        empty = values == (MOST if feature.aggregation == "min" else LEAST)
        return _answer(feature, np.where(empty, 0, values) / float(scale) + 0.0, empty)
    if feature.aggregation == "ratio":
        return _ratio(feature, gather)
    count, total = gather.count(taking), gather.sum(taking)
    whole, fits = small(total)
    if feature.aggregation == "sum":
        by = np.full(len(count), scale)
        return _answer(feature, divide(whole, by, fits, lambda at: (to_int(total[:, at]), scale)), count == 0)
    if feature.aggregation == "mean":
        by = count * scale
        exact = fits & (count < EXACT // scale)
        values = divide(whole, by, exact, lambda at: (to_int(total[:, at]), int(count[at]) * scale or 1))
        return _answer(feature, values, count == 0)
    return _stddev(feature, count, total, gather.squares(taking))


def _ratio(feature: Feature, gather: _Gather) -> Answer:
    """`(A * kb) / (B * ka)`."""
    over = feature.over
    assert over is not None
    sides = []
    for taking, factor in ((feature.taking, over.scale), (over, feature.taking.scale)):
        limbs = _with_high(gather.count(taking)) if taking.value is None else gather.sum(taking)
        whole, fits = small(limbs)
        sides.append((limbs, whole, fits & (np.abs(whole) <= (EXACT - 1) // factor), factor))
    (a, a_whole, a_fits, kb), (b, b_whole, b_fits, ka) = sides
    empty = (b == 0).all(axis=0)
    values = divide(
        a_whole * np.where(a_fits, kb, 0),
        b_whole * np.where(b_fits, ka, 0),
        (a_fits & b_fits) | empty,
        lambda at: (to_int(a[:, at]) * kb, to_int(b[:, at]) * ka),
    )
    return _answer(feature, values, empty)


def _with_high(counts: np.ndarray) -> np.ndarray:
    limbs = np.stack([counts, np.zeros_like(counts)])
    carry(limbs)
    return limbs


def _stddev(feature: Feature, count: np.ndarray, total: np.ndarray, squares: np.ndarray) -> Answer:
    """`sqrt((n * S2 - S1^2) / (n * (n - 1))) / k`, of the sample."""
    (s1, fits), (s2, fits_too) = small(total), small(squares)
    exact = fits & fits_too & (s2 <= (EXACT - 1) // np.maximum(count, 1)) & (count < 2**26)
    n, s1, s2 = (np.where(exact, values, 0) for values in (count, s1, s2))

    def in_full(at: int) -> tuple[int, int]:
        many = int(count[at])
        return many * to_int(squares[:, at]) - to_int(total[:, at]) ** 2, many * (many - 1) or 1

    with np.errstate(invalid="ignore"):
        variance = divide(n * s2 - s1 * s1, n * (n - 1), exact, in_full)
        return _answer(feature, np.sqrt(variance) / feature.taking.scale, count < 2)


def _answer(feature: Feature, values: np.ndarray, empty: np.ndarray) -> Answer:
    return Answer(np.where(empty, feature.default, values), empty)


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
    entity: Entity, feature: Feature, marks: Owned, index: _Index, own: tuple[np.ndarray, np.ndarray]
) -> Answer:
    """approx_distinct: the registers of a window united, once for all requests that see the same cells."""
    number = entity.counted.index(feature.taking)
    starts, stops = index.range(feature.window)
    packed = marks.table[2]
    if feature.include_request:
        which = np.arange(len(starts))
    else:
        pairs, which = np.unique(np.stack([starts, stops]), axis=1, return_inverse=True)
        starts, stops, which = pairs[0], pairs[1], which.ravel()
    counts = np.zeros(len(starts), np.int64)
    for first in range(0, len(starts), _SETS_AT_ONCE):
        chunk = slice(first, first + _SETS_AT_ONCE)
        lengths = np.maximum(stops[chunk] - starts[chunk], 0)
        sets = np.repeat(np.arange(len(lengths)), lengths)
        offsets = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        words = packed[np.repeat(starts[chunk], lengths) + offsets]
        if feature.include_request:
            here = (own[1] >= first) & (own[1] < first + _SETS_AT_ONCE)
            sets, words = np.concatenate([sets, own[1][here] - first]), np.concatenate([words, own[0][2, here]])
        mine = registers.number_of(words) == number
        counts[chunk] = registers.estimate(registers.ranks_of(words[mine], sets[mine], len(lengths)))
    values = counts[which]
    return Answer(values, values == 0)
