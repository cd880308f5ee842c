"""What one answer was made from: which events its request sees, why not the others, and what the former add up to."""

import dataclasses

import numpy as np

from modules.kernel import registers, row
from modules.kernel.answer import Answer, Requests, answer
from modules.kernel.cells import LEAST, MOST, START, WIDTH, Owned, accumulate, combine
from modules.kernel.plan import Entity, Feature, Part, Taking, needs
from modules.kernel.take import Columns, Events, meets, whole_numbers
from modules.kernel.whole import to_int

IN, OLD, EDGE, DELAY, OWN_TICK, AFTER, REPEATED, FILTERED, NULL = range(9)
"""What becomes of an event that counts: it is in the window and taken in; before the window; behind its near edge,
which moves in steps; younger than the delay; of the request's own tick; after it; in the window, but there before; in
it, but the filter is not met; in it, but the value is null. The first that holds."""


@dataclasses.dataclass(frozen=True)
class Counted:
    """The events that one side made a value from, as far as it knows them."""

    events: int | None
    """How many; None where cells do not count them."""
    cells: int
    """In how many cells they are."""
    first: int | None
    last: int | None
    """Where the first and the last cell start, in microseconds."""

    def __str__(self) -> str:
        if self.first is None or self.last is None:
            return "no events"
        events = "events" if self.events is None else "1 event" if self.events == 1 else f"{self.events:,} events"
        cells = "1 cell" if self.cells == 1 else f"{self.cells:,} cells"
        first, last = (str(np.datetime64(at, "us")).removesuffix(".000000") + "Z" for at in (self.first, self.last))
        return f"{events} in {cells} from {first}" + ("" if self.cells == 1 else f" to {last}")


@dataclasses.dataclass(frozen=True)
class Held:
    """What the cells of one key hold in the window of a feature."""

    starts: np.ndarray
    """int64, shape (cells,): the first slot of each, ascending."""
    widths: np.ndarray
    """int64, shape (cells,): in slots."""
    counts: np.ndarray | None
    """int64, shape (cells,): how many values each took in; None where the cells do not count them."""
    sums: tuple[dict[str, int | None], ...]
    """What the cells, and the request where it is included, add up to: the accumulators by name, of a ratio first those
    of the dividend, then those of the divisor; whole numbers in units of the scale, None where there is nothing."""

    @property
    def events(self) -> int | None:
        """How many values the cells took in; None where they do not count them."""
        return None if self.counts is None else int(self.counts.sum())

    def counted(self, tick: int) -> Counted:
        """That in a few numbers, for a tick of so many microseconds."""
        first, last = (int(self.starts[at]) * tick for at in (0, -1)) if len(self.starts) else (None, None)
        return Counted(self.events, len(self.starts), first, last)


@dataclasses.dataclass(frozen=True)
class Explained:
    """One answer, from all events of its key; of the other arrays all have the shape (events,)."""

    start: int
    """The first slot of the window."""
    stop: int
    """The first slot after it."""
    fates: np.ndarray
    """int8: `IN` or why not."""
    numbers: tuple[np.ndarray, ...]
    """int64: what is taken in of each event, in units of the scale, for each value of the feature; none for
    approx_distinct, of which hashes are taken in."""
    held: Held
    answer: Answer
    """Of shape (1,)."""


def takings(feature: Feature) -> tuple[Taking, ...]:
    """What a feature takes in of events; of a ratio the dividend, then the divisor."""
    return (feature.taking,) if feature.over is None else (feature.taking, feature.over)


def edges(feature: Feature, slot: int) -> tuple[int, int]:
    """The first slot that a request in a slot sees, and the first after those."""
    start, stop = feature.window.edges(np.array([slot], np.int64))
    return int(start[0]), int(stop[0])


def explain(entity: Entity, feature: Feature, events: Events, known: bool, slot: int, request: Columns) -> Explained:
    """The answer to one request, and what it was made from.

    Args:
      entity: Whose rows.
      feature: One of its features.
      events: All events of the request's key that count; none without a key.
      known: Whether the request has a key; False where one of its columns is null.
      slot: The request's.
      request: Its columns that any feature of the entity takes in, each of shape (1,).
    """
    owners = np.zeros(len(events), np.int64)
    cells, marks, _ = row.history(entity, events, owners)
    asked = Requests(np.array([0 if known else -1]), np.array([slot], np.int64), request)
    start, stop = edges(feature, slot)
    numbers, taken, met = [], np.zeros(len(events), bool), np.zeros(len(events), bool)
    for taking in takings(feature):
        met |= meets(taking.filter, events.columns)
        if feature.aggregation == "approx_distinct":
            taken |= registers.hash_values(taking, events.columns)[1]
        else:
            number, here = whole_numbers(taking, events.columns)
            taken |= here
            numbers.append(number)
    slots = events.slots
    fates = np.select(
        [slots < start, slots > slot, slots == slot, slots >= stop, row.repeated(entity, events, owners), taken, ~met],
        [OLD, AFTER, OWN_TICK, np.where(slots >= slot - feature.window.delay, DELAY, EDGE), REPEATED, IN, FILTERED],
        NULL,
    ).astype(np.int8)
    found = answer(entity, cells, marks, asked).by_name()[feature.name]
    own = request if known and feature.include_request else None
    return Explained(start, stop, fates, tuple(numbers), held(entity, feature, cells, marks, slot, own), found)


def held(entity: Entity, feature: Feature, cells: Owned, marks: Owned, slot: int, own: Columns | None = None) -> Held:
    """What a request in a slot sees of the cells of one key.

    Args:
      entity: Whose cells.
      feature: One of its features.
      cells: All of the key, as `row.history` or `row.decode` gives them.
      marks: Its registers, likewise.
      slot: The request's.
      own: The request's columns, if it counts as one more event.
    """
    start, stop = edges(feature, slot)
    distinct = feature.aggregation == "approx_distinct"
    table = marks.table if distinct else cells.table
    table = table[:, (table[START] >= start) & (table[START] < stop)]
    at = np.array([slot], np.int64)
    if distinct:
        words = table[2]
        if own is not None:
            words = np.concatenate([words, registers.registers(entity, {feature.taking}, own, at, 1)[0][2]])
        words = words[registers.number_of(words) == entity.counted.index(feature.taking)]
        ranks = registers.ranks_of(words, np.zeros(len(words), np.int64), 1)
        starts, first = np.unique(table[START], return_index=True)
        return Held(starts, table[WIDTH, first], None, ({"registers": int((ranks > 0).sum())},))
    count = entity.layout[feature.taking].get("count")
    counts = None if count is None else table[count]
    starts, widths = table[START], table[WIDTH]
    if own is not None:
        mine = accumulate(entity, takings(feature), own, at * entity.source.tick, at)
        table = np.concatenate([table, mine], axis=1)
    joined = combine(entity, table, np.zeros(1, np.int64)) if table.shape[1] else None
    sums: list[dict[str, int | None]] = [
        {part: _whole(part, None if joined is None else joined[entity.layout[taking][part] :, 0]) for part in parts}
        for taking, parts in needs(feature)
    ]
    return Held(starts, widths, counts, tuple(sums))


def nearest(times: np.ndarray, start: int, stop: int, tick: int) -> np.ndarray:
    """The order of events by how far they are from a window, and of those in it by how near to its end.

    Args:
      times: int64, shape (events,): microseconds.
      start: The first slot of the window.
      stop: The first slot after it.
      tick: In microseconds.

    Returns:
      int64, shape (events,).
    """
    away = np.maximum(np.maximum(start * tick - times, times - stop * tick + 1), 0)
    return np.lexsort((np.abs(times - stop * tick), away))


def _whole(part: Part, accumulator: np.ndarray | None) -> int | None:
    """An accumulator, which starts an array, as one number; of `last` the value."""
    if accumulator is None:
        return 0 if part in ("count", "sum", "squares") else None
    match part:
        case "sum":
            return to_int(accumulator[:2])
        case "squares":
            return to_int(accumulator[:4])
        case "last":
            value = int(accumulator[1])
        case _:
            value = int(accumulator[0])
    return None if value in (LEAST, MOST) else value
