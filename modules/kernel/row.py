"""The online row of one entity key, and the one operation on it: merge these events into it.

A row has three parts, each bytes of little-endian int64. `recent` is a header (`_HEADER`), cells and registers as they
came in; merges change only it. `older` is what was recent and is closed: coarsened to the widths that `grid.widths`
allows, and rid of what no request can reach. `identities` is a line of four for each event in an open slot: its slot,
128 bits of its id, and 64 of what was taken in; a reader does not need it.

Merging is commutative, and idempotent by identity as long as a slot is open. Closed is what lies below
`window.closed_slots(watermark - slack, lateness)`; an event that comes to a closed slot is a redelivery.
"""

import dataclasses
import itertools
import struct
from collections.abc import Sequence

import numpy as np

from modules.kernel import grid, registers
from modules.kernel.cells import START, WIDTH, Owned, accumulate, add_up, concatenate, first_of_each
from modules.kernel.hashing import hash_words
from modules.kernel.plan import Entity
from modules.kernel.take import Events, whole_numbers
from modules.kernel.window import NEVER, Window, closed_slots

TAKEN, DUPLICATE, CLOSED = range(3)
"""What became of an event: merged; merged before; in a closed slot, so a redelivery whose identity is forgotten."""

_CELLS, _CLOSED, _FLOOR, _OLDER, _LAST = range(5)
_HEADER = 5
"""How many cells follow; below which slot all are closed; below which slot requests are refused; how many cells and
registers `older` holds; and the last slot with an event."""
_FOLD_AT = 32
_WORD = np.dtype("<i8")
_HEADER_FORMAT, _COUNT_FORMAT = struct.Struct(f"<{_HEADER}q"), struct.Struct("<q")
_IDENTITY = 4


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of one entity, decoded: the n-th is the owner n of all tables."""

    headers: np.ndarray
    """int64, shape (rows, _HEADER)."""
    cells: Owned
    registers: Owned
    identities: Owned

    def __len__(self) -> int:
        return len(self.headers)


@dataclasses.dataclass(frozen=True)
class Merged:
    """What merging gave."""

    rows: Rows
    outcomes: np.ndarray
    """int8, shape (events,)."""
    conflicts: np.ndarray
    """int64: the events whose id another event of the row has with other content; both count. Those merged before are
    among them, lest a writer that is killed before it reports them never does."""


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A row as a store keeps it."""

    recent: bytes
    identities: bytes
    older: bytes | None
    """None: as it was."""
    expires: int
    """The slot from which on no request needs the row."""


def merge(
    entity: Entity,
    stored: Sequence[tuple[bytes, bytes] | None],
    events: Events,
    owners: np.ndarray,
    watermark: int,
) -> Merged:
    """Merges events into rows, and closes what the watermark closes.

    Args:
      entity: Whose rows.
      stored: `recent` and `identities` of each row; None for a new one.
      events: Events that count.
      owners: int64, shape (events,): the row of each event; -1 for none.
      watermark: Microseconds of ingest time; everything ingested before it was merged before, or is not known of.
    """
    rows = _decode_all(entity, stored)
    source = entity.source
    closed = np.maximum(rows.headers[:, _CLOSED], closed_slots(watermark - source.slack, source.lateness, source.tick))
    outcomes = np.full(len(events), TAKEN, np.int8)
    here = np.flatnonzero(owners >= 0)
    slots, whose = events.slots[here], owners[here]
    finest_cell = grid.finest([f.window for f in entity.exact]) if entity.exact else 1
    content = accumulate(entity, entity.takings, events.columns, events.times, events.slots)[:, here]
    set_by, of_event = _registers(entity, events)
    identities = np.stack([slots, *events.ids[:, here], _content(entity, events)[here]])
    known = concatenate(rows.identities, Owned(identities, whose))
    new, conflicting = _distinguish(known, len(rows.identities))
    taken = np.zeros(len(here), bool)
    taken[new] = slots[new] >= closed[whose[new]]
    fate = np.full(len(here), DUPLICATE, np.int8)
    fate[new] = CLOSED
    fate[taken] = TAKEN
    outcomes[here] = fate
    content[START] = slots // finest_cell * finest_cell
    content[WIDTH] = finest_cell
    added = Owned(content[:, taken], whose[taken]) if entity.exact else Owned(content[:, :0], whose[:0])
    kept = np.zeros(len(events), bool)
    kept[here[taken]] = True
    marks = kept[of_event]
    headers = rows.headers.copy()
    headers[:, _CLOSED] = closed
    np.maximum.at(headers[:, _LAST], whose[taken], slots[taken])
    before = len(rows.identities)
    open_ids = known.where(np.concatenate([np.arange(before), before + np.flatnonzero(taken)]))
    open_ids = open_ids.where(open_ids.table[0] >= closed[open_ids.owners])
    order = np.lexsort((*open_ids.table[::-1], open_ids.owners))
    merged = Rows(
        headers,
        add_up(entity, concatenate(rows.cells, added)),
        registers.join(concatenate(rows.registers, Owned(set_by[:, marks], owners[of_event[marks]]))),
        open_ids.where(order),
    )
    return Merged(merged, outcomes, here[np.intersect1d(conflicting, np.flatnonzero(fate != CLOSED))])


def due(rows: Rows) -> np.ndarray:
    """The rows whose closed cells are worth moving to `older`; int64, ascending.

    A row is due once they are a quarter of what `older` holds, so that an event costs a few cells, however many there
    are.
    """
    movable = np.zeros(len(rows), np.int64)
    for part in (rows.cells, rows.registers):
        stops = part.table[START] + part.table[WIDTH]
        np.add.at(movable, part.owners[stops <= rows.headers[part.owners, _CLOSED]], 1)
    return np.flatnonzero(movable > np.maximum(_FOLD_AT, rows.headers[:, _OLDER] // 4))


def fold(entity: Entity, rows: Rows, at: np.ndarray, older: Sequence[bytes], floor: int) -> tuple[Rows, list[bytes]]:
    """Moves the closed cells of rows to `older`, coarsens it, and removes what no request from the floor on reaches.

    Args:
      entity: Whose rows.
      rows: The rows.
      at: int64, ascending: which of them to fold.
      older: The `older` part of each of those, in that order.
      floor: The slot below which requests are refused from now on.

    Returns:
      The rows with less in `recent`, and the new `older` of each of those folded.
    """
    headers = rows.headers.copy()
    headers[at, _FLOOR] = np.maximum(headers[at, _FLOOR], floor)
    nth = np.full(len(rows), -1, np.int64)
    nth[at] = np.arange(len(at))
    old_cells, old_registers = _decode_older(entity, older)

    def move(part: Owned) -> tuple[Owned, Owned]:
        stops = part.table[START] + part.table[WIDTH]
        moving = (nth[part.owners] >= 0) & (stops <= headers[part.owners, _CLOSED])
        return part.where(~moving), Owned(part.table[:, moving], nth[part.owners[moving]])

    recent_cells, closed_cells = move(rows.cells)
    recent_registers, closed_registers = move(rows.registers)
    floors = headers[at, _FLOOR]
    new_cells = add_up(entity, _coarsen([f.window for f in entity.exact], concatenate(old_cells, closed_cells), floors))
    new_registers = registers.join(
        _coarsen([f.window for f in entity.distinct], concatenate(old_registers, closed_registers), floors)
    )
    headers[at, _OLDER] = np.diff(new_cells.bounds(len(at))) + np.diff(new_registers.bounds(len(at)))
    encoded = [
        np.array([len(c.T)], _WORD).tobytes() + c.T.tobytes() + r.T.tobytes()
        for c, r in zip(_split(new_cells, len(at)), _split(new_registers, len(at)), strict=True)
    ]
    return Rows(headers, recent_cells, recent_registers, rows.identities), encoded


def encode(entity: Entity, rows: Rows, older: dict[int, bytes]) -> list[Encoded]:
    """Rows as a store keeps them.

    Args:
      entity: Whose rows.
      rows: The rows.
      older: The new `older` part of those that were folded, by index.
    """
    source = entity.source
    headers = rows.headers.astype(_WORD)
    headers[:, _CELLS] = np.diff(rows.cells.bounds(len(rows)))
    life = max(entity.reach, source.lateness // source.tick + source.slack // source.tick + 2)
    return [
        Encoded(
            recent=header.tobytes() + c.T.tobytes() + r.T.tobytes(),
            identities=ids.T.tobytes(),
            older=older.get(index),
            expires=int(header[_LAST]) + life,
        )
        for index, (header, c, r, ids) in enumerate(
            zip(
                headers,
                _split(rows.cells, len(rows)),
                _split(rows.registers, len(rows)),
                _split(rows.identities, len(rows)),
                strict=True,
            )
        )
    ]


def decode(entity: Entity, stored: Sequence[tuple[bytes, bytes] | None]) -> tuple[Owned, Owned, np.ndarray]:
    """What a reader needs of rows.

    Args:
      entity: Whose rows.
      stored: `recent` and `older` of each row; None where there is none.

    Returns:
      Cells and registers, each sorted by owner and start; and int64, shape (rows,): the slot below which requests are
      refused.
    """
    floors = [NEVER] * len(stored)
    cell_parts, register_parts = [b""] * len(stored), [b""] * len(stored)
    for index, parts in enumerate(stored):
        if parts is not None:  # older cells all start before recent ones
            header, cells, marks = _cut_recent(entity, parts[0])
            old_cells, old_marks = _cut_older(entity, parts[1])
            floors[index] = header[_FLOOR]
            cell_parts[index], register_parts[index] = old_cells + cells, old_marks + marks
    return _table(cell_parts, entity.height), _table(register_parts, registers.HEIGHT), np.array(floors, np.int64)


def _coarsen(windows: Sequence[Window], part: Owned, floors: np.ndarray) -> Owned:
    if not windows:
        return part
    starts = part.table[START]
    wide = grid.widths(windows, starts, floors[part.owners])
    kept = wide > 0
    table = part.table[:, kept]
    table[START] = starts[kept] // wide[kept] * wide[kept]
    table[WIDTH] = wide[kept]
    return Owned(table, part.owners[kept])


def _registers(entity: Entity, events: Events) -> tuple[np.ndarray, np.ndarray]:
    """The registers that events set, in cells of their finest width, and the event of each."""
    if not entity.distinct:
        return np.empty((registers.HEIGHT, 0), np.int64), np.empty(0, np.int64)
    width = grid.finest([f.window for f in entity.distinct])
    return registers.registers(entity, entity.counted, events.columns, events.slots // width * width, width)


def _content(entity: Entity, events: Events) -> np.ndarray:
    """64 bits of what each event has taken in, whatever it is delivered with; int64, shape (events,)."""
    words = [np.zeros(len(events), np.int64)]
    for taking in entity.takings:
        words.extend(word.astype(np.int64, copy=False) for word in whole_numbers(taking, events.columns))
    for taking in entity.counted:
        hashes, taken = registers.hash_values(taking, events.columns)
        words.extend((np.where(taken, hashes.view(np.int64), 0), taken.astype(np.int64)))
    return hash_words(words)[0]


def _distinguish(known: Owned, before: int) -> tuple[np.ndarray, np.ndarray]:
    """Of identities after the first `before`, those that are new, and those whose id is there with other content.

    Both are int64, counted from `before`.
    """
    _, high, low, content = known.table
    alike = _alike(high)  # ids are hashes, so that nearly all differ here
    order = alike[np.lexsort((content[alike], low[alike], high[alike], known.owners[alike]))]
    same_id = ~first_of_each(known.owners[order], high[order], low[order])
    first = ~same_id | first_of_each(content[order])
    conflicting = same_id & first
    groups = np.cumsum(~same_id)
    conflict_groups = np.isin(groups, groups[conflicting])
    new = np.ones(len(high), bool)
    new[order[~first]] = False
    others = order[conflict_groups]
    return np.flatnonzero(new[before:]), others[others >= before] - before


def _alike(values: np.ndarray) -> np.ndarray:
    """Which of the values are there more than once; int64, ascending."""
    order = np.argsort(values)
    same = ~first_of_each(values[order])
    same[:-1] |= same[1:]
    return np.sort(order[same])


def _split(part: Owned, owners: int) -> list[np.ndarray]:
    bounds = part.bounds(owners)
    table = np.ascontiguousarray(part.table.T.astype(_WORD, copy=False))
    return [table[start:stop].T for start, stop in itertools.pairwise(bounds)]


def _decode_all(entity: Entity, stored: Sequence[tuple[bytes, bytes] | None]) -> Rows:
    headers = np.empty((len(stored), _HEADER), np.int64)
    headers[:] = 0, NEVER, NEVER, 0, NEVER
    cell_parts, register_parts = [b""] * len(stored), [b""] * len(stored)
    for index, parts in enumerate(stored):
        if parts is not None:
            headers[index], cell_parts[index], register_parts[index] = _cut_recent(entity, parts[0])
    return Rows(
        headers,
        _table(cell_parts, entity.height),
        _table(register_parts, registers.HEIGHT),
        _table([b"" if parts is None else parts[1] for parts in stored], _IDENTITY),
    )


def _decode_older(entity: Entity, older: Sequence[bytes]) -> tuple[Owned, Owned]:
    parts = [_cut_older(entity, part) for part in older]
    return (
        _table([cells for cells, _ in parts], entity.height),
        _table([marks for _, marks in parts], registers.HEIGHT),
    )


def _cut_recent(entity: Entity, recent: bytes) -> tuple[tuple[int, ...], bytes, bytes]:
    """Header, cells and registers."""
    header = _HEADER_FORMAT.unpack_from(recent)
    cut = _HEADER_FORMAT.size + header[_CELLS] * entity.height * _WORD.itemsize
    return header, recent[_HEADER_FORMAT.size : cut], recent[cut:]


def _cut_older(entity: Entity, older: bytes) -> tuple[bytes, bytes]:
    """Cells and registers."""
    if not older:
        return b"", b""
    (cells,) = _COUNT_FORMAT.unpack_from(older)
    cut = _COUNT_FORMAT.size + cells * entity.height * _WORD.itemsize
    return older[_COUNT_FORMAT.size : cut], older[cut:]


def _table(parts: Sequence[bytes], height: int) -> Owned:
    """What each owner has, columns of int64 one after the other, as a table."""
    content = b"".join(parts)
    if not content:
        return Owned(np.empty((height, 0), np.int64), np.empty(0, np.int64))
    size = height * _WORD.itemsize
    counts = [len(part) // size for part in parts]
    if sum(counts) * size != len(content):
        raise ValueError("a stored row is damaged, or of another declaration: its length does not suit its layout")
    table = np.frombuffer(content, _WORD).reshape(-1, height)
    return Owned(np.array(table.T, order="C"), np.arange(len(parts)).repeat(counts))


def history(entity: Entity, events: Events, owners: np.ndarray) -> tuple[Owned, Owned, int]:
    """The cells and registers of a whole history: what merging it into empty rows and never coarsening them gives.

    Args:
      entity: Whose rows.
      events: Events that count.
      owners: int64, shape (events,): the key of each event; -1 for none.

    Returns:
      Cells and registers for `answer`, and how many events repeat another.
    """
    again = repeated(entity, events, owners)
    kept = (owners >= 0) & ~again
    set_by, of_event = _registers(entity, events)
    marks = kept[of_event]
    counted = np.flatnonzero(kept) if entity.exact else np.empty(0, np.int64)
    content = accumulate(entity, entity.takings, events.columns, events.times, events.slots)
    return (
        add_up(entity, Owned(content[:, counted], owners[counted])),
        registers.join(Owned(set_by[:, marks], owners[of_event[marks]])),
        int(again.sum()),
    )


def repeated(entity: Entity, events: Events, owners: np.ndarray) -> np.ndarray:
    """Which events repeat an earlier one of their key; bool, shape (events,).

    Args:
      entity: Whose rows.
      events: Events that count.
      owners: int64, shape (events,): the key of each event; -1 for none.
    """
    here = np.flatnonzero(owners >= 0)
    alike = here[_alike(events.ids[0, here])]  # the others repeat nothing
    some = events.where(alike)
    identities = np.stack([some.slots, *some.ids, _content(entity, some)])
    new, _ = _distinguish(Owned(identities, owners[alike]), 0)
    again = np.zeros(len(events), bool)
    again[alike] = True
    again[alike[new]] = False
    return again
