"""What counts as a difference: bits, and nothing else."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.parity.check import FIRST, Check, Difference
from pipeline.parity.sample import Sample
from pipeline.parity.tally import Tally

KINDS = [np.float32, np.float64, np.int64]


def _tally(rows: int, with_times: bool = True) -> Tally:
    ids = pa.array([f"row {number}".encode() for number in range(rows)], pa.large_binary())
    times = pa.array(range(rows), pa.int64()) if with_times else None
    return Tally("tested", Sample(ids, {}, times))


def _compared(expected: np.ndarray, found: np.ndarray) -> Check:
    tally = _tally(len(expected))
    tally.compare("x", np.arange(len(expected)), expected, found)
    return tally.check()


@given(st.data(), st.sampled_from(KINDS), st.integers(1, 30), st.integers(1, 3))
def test_each_row_with_another_bit_is_counted_and_no_other(
    data: st.DataObject, kind: type, rows: int, width: int
) -> None:
    """NaN equals itself, and the zeros differ."""
    expected = data.draw(arrays(kind, (rows, width)))
    turned = data.draw(st.sets(st.tuples(st.integers(0, rows - 1), st.integers(0, width - 1))))
    found = expected.copy()
    size = np.dtype(kind).itemsize
    for row, column in turned:
        bit = data.draw(st.integers(0, 8 * size - 1))
        found.view(f"u{size}")[row, column] ^= np.array(1, f"u{size}") << np.array(bit, f"u{size}")
    check = _compared(expected, found)
    different = {row for row, _ in turned}
    assert (check.compared, check.differing) == (rows, len(different))
    assert check.passed == (not different)
    assert [int(each.key["row_id"].split()[1]) for each in check.differences] == sorted(different)[:FIRST]
    for each in check.differences:
        assert bin(int(each.expected_bits, 16) ^ int(each.found_bits, 16)).count("1") == 1
        assert len(each.found_bits) == 2 * size


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.array([1.0]), np.array([1.0], np.float32)),
        (np.array([1]), np.array([1.0])),
        (np.array([[1.0]]), np.array([1.0])),
    ],
)
def test_another_form_is_another_value(one: np.ndarray, other: np.ndarray) -> None:
    check = _compared(one, other)
    assert (check.passed, check.differing) == (False, 1)
    assert check.differences[0].expected == f"{one.dtype} of shape {one.shape}"


def test_a_missing_row_or_nothing_at_all_is_no_pass() -> None:
    tally = _tally(2)
    assert not tally.check().passed
    tally.compare("x", np.array([1]), np.array([1]), np.array([1]))
    assert tally.check().sentence == "1 values of 2 rows compared, none differs."
    tally.miss(1)
    assert not tally.check().passed
    assert tally.check().sentence == "1 values of 2 rows compared, none differs; 1 rows are missing."


def test_features_are_counted_apart_and_a_row_without_a_time_is_named() -> None:
    tally = _tally(3, with_times=False)
    tally.compare("a", np.array([0, 2]), np.array([1, 2]), np.array([1, 3]))
    tally.compare("b", np.array([0, 1, 2]), np.zeros(3), np.array([0.0, -0.0, 1.0]))
    check = tally.check()
    assert check.sentence == "5 values of 3 rows compared, 3 differ: a (1), b (2)."
    assert str(check.differences[0]) == ("a of row_id=row 2: expected 2 (0000000000000002), found 3 (0000000000000003)")
    assert str(check.differences[1]) == (
        "b of row_id=row 1: expected 0.0 (0000000000000000), found -0.0 (8000000000000000)"
    )


@pytest.mark.parametrize(
    ("passed", "compared", "differing", "shown"),
    [(True, 5, 1, 0), (True, 0, 0, 0), (False, 5, 1, 2), (False, 50, 50, 11)],
)
def test_a_check_that_contradicts_itself(passed: bool, compared: int, differing: int, shown: int) -> None:
    difference = Difference("x", {}, None, "1", "2", "01", "02")
    with pytest.raises(ValueError, match="scores: "):
        Check("scores", passed, compared, differing, "", (difference,) * shown)
