"""What becomes of single events in single rows; that all of it adds up is shown in `test_same_bits.py`."""

import numpy as np
import pytest

from modules.kernel import row
from modules.kernel.answer import Requests, answer
from modules.kernel.plan import Entity, Feature, Source, Taking
from modules.kernel.take import take
from modules.kernel.window import Window
from tests.strategies import TYPES, Row, columns

EVENT, AMOUNT, ITEMS, BUYER = (
    Taking(None, 1, ()),
    Taking("amount", 100, ()),
    Taking("items", 1, ()),
    Taking("buyer", 1, ()),
)
LATENESS = 100
SOURCE = Source("sales", 1, "time", "ingest", ("id",), LATENESS, 0, 20, 0, (AMOUNT, ITEMS))
WINDOW = Window(60, 0, 10, 1)
ENTITY = Entity(
    SOURCE,
    ("shop",),
    (
        Feature("count", "count", EVENT, None, WINDOW, 0.0, False),
        Feature("ratio", "ratio", AMOUNT, ITEMS, WINDOW, -1.0, False),
        Feature("buyers", "approx_distinct", BUYER, None, WINDOW, 0.0, False),
    ),
)
A = {"time": 1000, "id": "1", "shop": "a", "amount": 2.0, "items": 4, "buyer": None}
OTHERS = [{**A, "id": f"other {number}", "buyer": "ann"} for number in range(3)]


def _event(**changed: object) -> Row:
    return dict.fromkeys(TYPES) | A | changed


def _merge(stored: list[row.Encoded | None], events: list[Row], owners: list[int], watermark: int) -> row.Merged:
    parts = [None if each is None else (each.recent, each.identities) for each in stored]
    return row.merge(ENTITY, parts, take(SOURCE, columns(events)), np.array(owners, np.int64), watermark)


def _written(merged: row.Merged) -> list[row.Encoded | None]:
    return list(row.encode(ENTITY, merged.rows, {}))


@pytest.mark.parametrize(
    ("again", "watermark", "fate", "conflicts"),
    [
        (_event(), 0, row.DUPLICATE, []),
        (_event(ingest=1099), 0, row.DUPLICATE, []),  # when it was ingested is no part of it
        (_event(id="2"), 0, row.TAKEN, []),
        (_event(time=1001), 0, row.TAKEN, []),  # of another time it is another event, and no conflict
        (_event(amount=2.01), 0, row.TAKEN, [0]),  # one id with two contents
        (_event(amount=2.001), 0, row.DUPLICATE, []),  # rounded, it has the same cents
        (_event(buyer="ben"), 0, row.TAKEN, [0]),
        (_event(lane=7), 0, row.DUPLICATE, []),  # not taken in
        (_event(), 1120, row.DUPLICATE, []),  # slot 1000 is open until 1000 + 1 + 100 + 20
        (_event(id="2"), 1120, row.TAKEN, []),
        (_event(id="2"), 1121, row.CLOSED, []),
        (_event(time=1001, id="2"), 1121, row.TAKEN, []),  # the next slot is open a tick longer
    ],
)
def test_a_second_event(again: Row, watermark: int, fate: int, conflicts: list[int]) -> None:
    stored = _written(_merge([None], [_event()], [0], 0))
    merged = _merge(stored, [again], [0], watermark)
    assert (merged.outcomes.tolist(), merged.conflicts.tolist()) == ([fate], conflicts)


def test_an_identity_that_is_forgotten_makes_a_redelivery_closed() -> None:
    closed = _written(_merge(_written(_merge([None], [_event()], [0], 0)), [], [], 1121))
    assert _merge(closed, [_event()], [0], 0).outcomes.tolist() == [row.CLOSED]  # by the row, however old the watermark


@pytest.mark.parametrize("items", [(None, 0), (0, None)])
def test_a_null_and_a_zero_are_two_contents(items: tuple[int | None, ...]) -> None:
    merged = _merge([None], [_event(items=each) for each in items], [0, 0], 0)
    assert (merged.outcomes.tolist(), merged.conflicts.tolist()) == ([row.TAKEN, row.TAKEN], [0, 1])


def test_an_event_is_the_same_whatever_it_is_delivered_with() -> None:
    stored = _written(_merge([None], [_event()], [0], 0))  # nobody sets a register
    merged = _merge(stored, [*(_event(**other) for other in OTHERS), _event()], [0] * 4, 0)
    assert merged.outcomes.tolist() == [row.TAKEN] * 3 + [row.DUPLICATE]


@pytest.mark.parametrize("folded", [(), (0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_rows_of_which_some_were_folded_are_read_together(folded: tuple[int, ...]) -> None:
    events = [_event(time=1000 + n, id=str(n)) for n in range(9)]
    first = _written(_merge([None] * 3, events, [n % 3 for n in range(9)], 0))
    merged = _merge(first, [], [], 1300)  # all closed
    rows, older = row.fold(ENTITY, merged.rows, np.array(folded, np.int64), [b""] * len(folded), 1000)
    encoded = row.encode(ENTITY, rows, dict(zip(folded, older, strict=True)))
    cells, marks, floors = row.decode(ENTITY, [(each.recent, each.older or b"") for each in encoded])
    found = answer(ENTITY, cells, marks, Requests(np.arange(3), np.full(3, 1010), {})).by_name()
    assert found["count"].values.tolist() == [3, 3, 3]
    assert [floor == 1000 for floor in floors.tolist()] == [n in folded for n in range(3)]


def test_a_row_is_kept_as_long_as_a_request_sees_it_or_its_identities_matter() -> None:
    [stored] = _written(_merge([None], [_event()], [0], 0))
    assert stored is not None
    last = max(slot for slot in range(1000, 1200) if int(WINDOW.edges(np.array([slot]))[0][0]) <= 1000)
    assert stored.expires > max(last, 1000 + LATENESS + 20)


def test_what_is_not_written_as_this_entity_writes_is_refused() -> None:
    [stored] = _written(_merge([None], [_event()], [0], 0))
    assert stored is not None
    with pytest.raises(ValueError, match="damaged, or of another declaration"):
        row.decode(ENTITY, [(stored.recent + bytes(8), b"")])


def test_encoding_and_decoding_give_the_same_bytes() -> None:
    events = [_event(), *(_event(**other) for other in OTHERS)]
    stored = _written(_merge([None, None], events, [0, 1, 1, 0], 0))
    assert _written(_merge(stored, [], [], 0)) == stored
