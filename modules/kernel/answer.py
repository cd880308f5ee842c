"""The features of keys as of times: the same code over the cells of a history and over those of online rows."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from modules.kernel import registers
from modules.kernel.cells import LEAST, MOST, START, WIDTH, Owned, accumulate, rank_last
from modules.kernel.extremum import range_max
from modules.kernel.plan import Entity, Family, Feature, Taking, needs
from modules.kernel.take import Columns
from modules.kernel.whole import EXACT, bound, carry, divide, joined, small, to_int
from modules.kernel.window import NEVER

_SETS_AT_ONCE = 4096
_REGISTERS_AT_ONCE = 1 << 22


class Answer(NamedTuple):
    """One feature for each request."""

    values: np.ndarray
    """int64 or float64, shape (requests,); the default where there is nothing to compute it from."""
    empty: np.ndarray
    """bool, shape (requests,): whether there is nothing to compute it from."""


class Requests(NamedTuple):
    """Who asks, and when; all arrays have the shape (requests,)."""

    owners: np.ndarray
    """int64: the owner of the cells asked for; -1 for a key with a null, to which everything is empty."""
    slots: np.ndarray
    """int64."""
    columns: Columns
    """The columns of the requests that features with `include_request` take in."""


class Answers(NamedTuple):
    """The features of an entity for each request, in the order of `Entity.answered`."""

    features: tuple[Feature, ...]
    values: list[np.ndarray]
    """See `Answer`."""
    empty: np.ndarray
    """bool, shape (features, requests)."""
    stops: np.ndarray
    """int64, shape (features, requests): the first slot after each window."""

    def by_name(self) -> dict[str, Answer]:
        """Each feature by its name."""
        parts = zip(self.features, self.values, self.empty, strict=True)
        return {feature.name: Answer(values, empty) for feature, values, empty in parts}


def answer(entity: Entity, cells: Owned, marks: Owned, requests: Requests) -> Answers:
    """The features of an entity.

    Args:
      entity: Whose features.
      cells: Its cells by owner and start, as `row.decode` or `add_up` gives them.
      marks: Its registers, likewise.
      requests: Who asks.

    Raises:
      ValueError: An edge would cut a cell; a cell was coarsened although a request could still come.
    """
    edges = entity.windows.edges(requests.slots)
    answers = Answers(
        entity.answered,
        [],
        np.empty((len(entity.answered), len(requests.slots)), bool),
        edges[1].take(entity.window_of, 0),
    )
    exact = len(entity.exact_families.windows)
    if entity.exact:
        own = _own(entity, requests)
        ranges = _ranges(cells, edges[:, :exact], requests.owners)
        prefixes = _Prefixes(cells.table, own)
        for family in entity.exact_families.members:
            gather = _Gather(entity, prefixes, ranges[:, family.windows], family.one.include_request)
            _add(answers, family, *_finish(family, gather), requests)
    if entity.distinct:
        own_marks = _own_registers(entity, requests)
        ranges = _ranges(marks, edges[:, exact:], requests.owners)
        for family in entity.distinct_families.members:
            values = _distinct(entity, family.one, marks, ranges[:, family.windows], own_marks)
            _add(answers, family, values, values == 0, requests)
    return answers


def _add(answers: Answers, family: Family, values: np.ndarray, empty: np.ndarray, requests: Requests) -> None:
    """Adds the features of a family; float64 is its default where it is empty, and int64 0 as it is."""
    first, count = len(answers.values), len(family.features)
    values, empty = values.reshape(count, -1), empty.reshape(count, -1)
    if family.one.include_request:
        nobody = requests.owners < 0  # no key, so no event of its own either
        values, empty = np.where(nobody, 0, values), empty | nobody
    if values.dtype == np.float64:
        values = np.where(empty, family.defaults, values)
    answers.empty[first : first + count] = empty
    answers.values.extend(values)


def _ranges(cells: Owned, edges: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """The first cell of each request's windows, and the first after it; int64, of the shape of the edges.

    Args:
      cells: Of one or more owners.
      edges: int64, shape (2, windows, requests): slots.
      owners: int64, shape (requests,): who asks.
    """
    if not len(cells):
        return np.zeros_like(edges)
    starts, widths = cells.table[START], cells.table[WIDTH]
    stops, bounds = starts + widths, edges
    if not cells.owners[-1]:  # all are of the first one
        return _search(starts, stops, widths, np.where(owners == 0, edges, NEVER), edges)
    least = int(np.minimum.reduce(starts)) - 1
    span = int(np.maximum.reduce(stops)) - least + 2
    if (int(cells.owners[-1]) + 2) * span > MOST:  # years apart, in small ticks: ranks are compared in place of slots
        slots = np.unique(np.concatenate([starts, stops, edges.ravel()]))
        starts, stops, bounds = (slots.searchsorted(each) for each in (starts, stops, edges))
        least, span = -1, len(slots) + 2
    base = cells.owners * span - least
    at = np.minimum(np.maximum(bounds, least), least + span - 1)
    at += owners * span - least  # below all cells for the owner -1, so that its ranges are empty
    return _search(base + starts, base + stops, widths, at, edges)


def _search(starts: np.ndarray, stops: np.ndarray, widths: np.ndarray, at: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Where edges are among cells, of which `starts` ascend; `at` are the edges in the same measure as those."""
    found: np.ndarray = starts.searchsorted(at)
    if np.maximum.reduce(widths) > 1:
        before = np.maximum.accumulate(stops).searchsorted(at, "right")  # cells that stop there, or earlier
        if (cut := before != found).any():
            raise ValueError(f"an edge at slot {edges[cut][0]} would cut a cell")
    return found


class _Sum(NamedTuple):
    """Whole numbers, each the sum of a window; n as of `_Gather`."""

    values: np.ndarray
    """int64, shape (n,); 0 where it does not fit."""
    fits: np.ndarray | np.bool_
    """Shape (n,): whether it is below 2^53 in size; of no shape: all are."""
    limbs: np.ndarray | None
    """int64, shape (limbs, n), carried; None: all fit."""

    def in_full(self, at: int) -> int:
        return int(self.values[at]) if self.limbs is None else to_int(self.limbs[:, at])


class _Prefixes:
    """What the additive accumulators of a table amount to before each cell; each is added up once."""

    def __init__(self, table: np.ndarray, own: np.ndarray | None) -> None:
        """Adds up nothing yet.

        Args:
          table: int64, shape (height, cells).
          own: int64, shape (height, requests): what may come on top.
        """
        self.table, self.own = table, own
        self._found: dict[int, np.ndarray] = {}

    def count(self, row: int) -> np.ndarray:
        """int64, shape (1, cells + 1)."""
        if row not in self._found:
            self._found[row] = _accumulated(self.table[row : row + 1])
        return self._found[row]

    def sum(self, row: int, size: int) -> np.ndarray:
        """int64, shape (size, cells + 1): limbs; of shape (1, cells + 1) if nothing can get as large as 2^53."""
        if row not in self._found:
            numbers = self.table[row : row + size]
            most = bound(numbers)
            if self.own is not None:
                most += bound(self.own[row : row + size])
            if most < EXACT:
                numbers = joined(numbers)[None]
            self._found[row] = _accumulated(numbers)
        return self._found[row]


def _accumulated(numbers: np.ndarray) -> np.ndarray:
    prefix = np.empty((len(numbers), numbers.shape[1] + 1), np.int64)
    prefix[:, 0] = 0
    np.add.accumulate(numbers, 1, None, prefix[:, 1:])
    return prefix


class _Gather:
    """The accumulators of a family's windows for each request: n = features * requests, one feature after the other."""

    def __init__(self, entity: Entity, prefixes: _Prefixes, ranges: np.ndarray, include_request: bool) -> None:
        """Looks at nothing yet.

        Args:
          entity: Whose cells.
          prefixes: Of its table.
          ranges: int64, shape (2, features, requests): of cells.
          include_request: Whether each request is added to its windows.
        """
        self._layout, self._table, self._prefixes = entity.layout, prefixes.table, prefixes
        self._starts, self._stops = self._ranges = ranges.reshape(2, -1)
        self._own = None
        if include_request and prefixes.own is not None:
            self._own = np.tile(prefixes.own, ranges.shape[1])

    def count(self, taking: Taking) -> np.ndarray:
        """How many values were taken in; int64, shape (n,)."""
        row = self._layout[taking]["count"]
        (counts,) = self._between(self._prefixes.count(row))
        if self._own is not None:
            counts += self._own[row]
        return counts

    def sum(self, taking: Taking) -> _Sum:
        """Their sum."""
        return self._sum(self._layout[taking]["sum"], 2)

    def squares(self, taking: Taking) -> _Sum:
        """The sum of their squares."""
        return self._sum(self._layout[taking]["squares"], 4)

    def _sum(self, row: int, size: int) -> _Sum:
        numbers = self._between(self._prefixes.sum(row, size))
        own = None if self._own is None else self._own[row : row + size]
        if len(numbers) == 1:
            values = numbers[0] if own is None else numbers[0] + joined(own)
            return _Sum(values, np.True_, None)
        if own is not None:
            numbers += own
        carry(numbers)
        return _Sum(*small(numbers), numbers)

    def _between(self, prefix: np.ndarray) -> np.ndarray:
        """int64, shape (limbs, n)."""
        total = prefix.take(self._stops, 1)
        total -= prefix.take(self._starts, 1)
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


def _finish(family: Family, gather: _Gather) -> tuple[np.ndarray, np.ndarray]:
    """From accumulators to values, and where there are none; each whole number is converted once, as designed.

    Returns:
      int64 or float64, and bool, shape (n,) both, see `_Gather`.
    """
    feature = family.one
    taking, scale = feature.taking, feature.taking.scale
    match feature.aggregation:
        case "count":
            count = gather.count(taking)
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
    count, total = gather.count(taking), gather.sum(taking)
    by = np.maximum(count, 1) if feature.aggregation == "mean" else np.ones_like(count)
    exact = by < EXACT // scale
    exact &= total.fits
    return divide(total.values, by * scale, exact, lambda at: (total.in_full(at), int(by[at]) * scale)), count == 0


def _ratio(feature: Feature, gather: _Gather) -> tuple[np.ndarray, np.ndarray]:
    """`(A * kb) / (B * ka)`."""
    over = feature.over
    assert over is not None
    sides = []
    for taking, factor in ((feature.taking, over.scale), (over, feature.taking.scale)):
        total = _of_counts(gather.count(taking)) if taking.value is None else gather.sum(taking)
        exact = total.fits & (np.abs(total.values) <= (EXACT - 1) // factor)
        sides.append((total, exact, total.values * np.where(exact, factor, 0)))
    (a, a_exact, dividend), (b, b_exact, divisor) = sides
    empty = (b.values == 0) & b.fits
    divisor += divisor == 0
    values = divide(
        dividend,
        divisor,
        (a_exact & b_exact) | empty,
        lambda at: (a.in_full(at) * over.scale, b.in_full(at) * feature.taking.scale),
    )
    return values, empty


def _of_counts(counts: np.ndarray) -> _Sum:
    return _Sum(counts, np.True_, None)


def _stddev(feature: Feature, gather: _Gather) -> tuple[np.ndarray, np.ndarray]:
    """`sqrt((n * S2 - S1^2) / (n * (n - 1))) / k`, of the sample."""
    count, total, squares = gather.count(feature.taking), gather.sum(feature.taking), gather.squares(feature.taking)
    exact = total.fits & squares.fits & (squares.values <= (EXACT - 1) // np.maximum(count, 1)) & (count < 2**26)
    n, s1, s2 = (values * exact for values in (count, total.values, squares.values))

    def in_full(at: int) -> tuple[int, int]:
        many = int(count[at])
        return many * squares.in_full(at) - total.in_full(at) ** 2, many * (many - 1) or 1

    variance = divide(n * s2 - s1 * s1, np.maximum(n * (n - 1), 1), exact, in_full)
    return np.sqrt(variance) / feature.taking.scale, count < 2


def _own(entity: Entity, requests: Requests) -> np.ndarray | None:
    """The requests as cells; int64, shape (height, requests)."""
    if not entity.included:
        return None
    included = [feature for feature in entity.exact if feature.include_request]
    takings = {taking: None for feature in included for taking, _ in needs(feature)}
    return accumulate(entity, takings, requests.columns, requests.slots, requests.slots)


def _own_registers(entity: Entity, requests: Requests) -> tuple[np.ndarray, np.ndarray]:
    if not entity.included:
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
    every = np.maximum(stops - starts, 0)
    for first, last in _chunks(every):
        chunk = slice(first, last)
        lengths = every[chunk]
        sets = np.repeat(np.arange(len(lengths)), lengths)
        offsets = np.arange(len(sets)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        words = packed[np.repeat(starts[chunk], lengths) + offsets]
        if feature.include_request:
            here = (own_sets >= first) & (own_sets < last)
            sets, words = np.concatenate([sets, own_sets[here] - first]), np.concatenate([words, own_words[here]])
        mine = registers.number_of(words) == number
        counts[chunk] = registers.estimate(registers.ranks_of(words[mine], sets[mine], len(lengths)))
    return counts[which]


def _chunks(lengths: np.ndarray) -> Iterator[tuple[int, int]]:
    """Runs of sets, each of one set or of few registers together."""
    first = 0
    while first < len(lengths):
        upto = np.cumsum(lengths[first : first + _SETS_AT_ONCE])
        last = first + max(1, int(upto.searchsorted(_REGISTERS_AT_ONCE, "right")))
        yield first, last
        first = last
