"""How far the store is, and the oldest time that it answers, beside the values."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from modules.kernel.window import NEVER
from modules.spec import Declaration
from pipeline.live.place import Place
from pipeline.live.reader import FeatureReader, Status
from tests.pipeline.live.filled import advance, declare, fill
from tests.pipeline.live.rides import BEGIN, SECOND, payments, rides

RIDES = rides(200)
END = RIDES[-1]["taken_in"]
PAYMENTS = [event for event in payments(RIDES) if event["taken_in"] <= END]
ASKER: dict[str, Any] = {"rider": 0, "area": "area 0", "amount": 1.0}


@pytest.fixture
def declaration(tmp_path: Path) -> Declaration:
    return declare(tmp_path)


@pytest.fixture
def reader(declaration: Declaration, here: Place) -> Iterator[FeatureReader]:
    with FeatureReader(declaration, here.open()) as opened:
        yield opened


def test_watermarks_are_those_of_the_rows(declaration: Declaration, here: Place, reader: FeatureReader) -> None:
    assert reader.watermarks() == {"rides": NEVER, "payments": NEVER}
    fill(declaration, here, {"rides": RIDES, "payments": PAYMENTS})
    marks = {"rides": END, "payments": PAYMENTS[-1]["taken_in"]}
    assert reader.watermarks() == marks
    assert reader.look_one(ASKER, END).watermarks == marks
    advance(here, "rides", END - SECOND, partition="1")  # the least of the partitions counts
    assert reader.look_one(ASKER, END).watermarks == marks | {"rides": END - SECOND}


@pytest.mark.parametrize("floor", [END // SECOND, -5])
def test_the_oldest_time_is_answered_and_the_one_before_is_not(
    declaration: Declaration, here: Place, reader: FeatureReader, floor: int
) -> None:
    """Also before 1970, where times are negative."""
    with here.open() as store:
        store.raise_floor("rides", floor)
        store.raise_floor("payments", floor - 3)
    columns = {name: pa.array([value] * 3) for name, value in ASKER.items()}
    asked = np.array([floor - 1, floor - 10, floor]) * SECOND
    found = reader.look(columns, asked)
    refused = np.any([each.status == Status.TOO_OLD for each in found.values.values()], axis=0)
    assert refused.tolist() == [True, True, False]
    assert found.oldest[:2].tolist() == [floor * SECOND] * 2
    for time, too_old in ((floor * SECOND, False), (floor * SECOND - 1, True)):
        look = reader.look_one(ASKER, time)
        assert any(each.status[0] == Status.TOO_OLD for each in look.values.values()) == too_old
        assert not too_old or look.oldest.tolist() == [floor * SECOND]


def test_a_row_has_a_floor_of_its_own(declaration: Declaration, here: Place, reader: FeatureReader) -> None:
    fill(declaration, here, {"rides": RIDES, "payments": PAYMENTS})
    [oldest] = reader.look_one(ASKER, BEGIN).oldest.tolist()
    assert BEGIN < oldest < END
    assert not any(each.status[0] == Status.TOO_OLD for each in reader.look_one(ASKER, oldest).values.values())
    assert any(each.status[0] == Status.TOO_OLD for each in reader.look_one(ASKER, oldest - 1).values.values())
