"""What counts, and the whole numbers that are taken in."""

import numpy as np
import pyarrow as pa
import pytest

from modules.kernel.plan import Condition, Source, Taking
from modules.kernel.take import COUNTS, FUTURE, LATE, VALUE, judge, meets, whole_numbers

S = 1_000_000
CENTS = Taking("amount", 100, ())
SOURCE = Source("s", S, "time", "ingest", (), 60 * S, 5 * S, 0, 0, (CENTS,))


@pytest.mark.parametrize(
    ("ingested_after", "amount", "verdict"),
    [
        (0, 1.0, COUNTS),
        (60 * S, 1.0, COUNTS),  # exactly as late as is allowed
        (60 * S + 1, 1.0, LATE),
        (-5 * S, 1.0, COUNTS),  # exactly as far ahead
        (-5 * S - 1, 1.0, FUTURE),
        (None, 1.0, COUNTS),  # history that does not know counts
        (0, None, COUNTS),  # a null is an event all the same
        (0, float("nan"), VALUE),
        (0, float("-inf"), VALUE),
        (0, (2.0**53 - 1) / 100, COUNTS),  # 2^53 - 1 cents
        (0, 2.0**53 / 100, VALUE),
        (0, 1e308, VALUE),  # times 100 it is infinite
    ],
)
def test_which_events_count(ingested_after: int | None, amount: float | None, verdict: int) -> None:
    ingest = None if ingested_after is None else 7 * S + ingested_after
    columns = {
        "time": pa.array([7 * S]),
        "ingest": pa.array([ingest], pa.int64()),
        "amount": pa.array([amount], pa.float64()),
    }
    assert judge(SOURCE, columns, None).tolist() == [verdict]


@pytest.mark.parametrize(
    ("value", "scale", "units"),
    [
        (0.005, 100, 0),  # half: to the even one
        (0.015, 100, 2),
        (0.025, 100, 2),
        (-0.015, 100, -2),
        (2.5, 1, 2),
        (1.005, 100, 100),  # as a float64 it is below 1.005
        (-0.0, 1, 0),
        (1e-300, 2**31, 0),
    ],
)
def test_a_number_in_units(value: float, scale: int, units: int) -> None:
    numbers, taken = whole_numbers(Taking("x", scale, ()), {"x": pa.array([value])})
    assert (numbers.tolist(), taken.tolist()) == ([units], [True])


@pytest.mark.parametrize("value", [2.0**53, float("inf"), float("nan")])
def test_a_number_that_cannot_be_taken_in_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match="column x holds a number that is not finite, or 2\\^53 or more"):
        whole_numbers(Taking("x", 1, ()), {"x": pa.array([value])})


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        (Condition("x", at_least=1.0), [False, True, True]),
        (Condition("x", above=1.0), [False, False, True]),
        (Condition("x", at_most=1.0), [True, True, False]),
        (Condition("x", below=1.0), [True, False, False]),
        (Condition("x", above=0.0, below=2.0), [False, True, False]),
        (Condition("x", one_of=(0, 2)), [True, False, True]),
    ],
)
def test_conditions_at_their_bounds_and_of_a_null(condition: Condition, met: list[bool]) -> None:
    found = meets((condition,), {"x": pa.array([0, 1, 2, None])})
    assert found.dtype == np.bool_
    assert found.tolist() == [*met, False]
