"""The same bits for the same values, however they lie in memory."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.kernel.hashing import hash_columns
from tests.modules.kernel import oracle

ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        st.one_of(st.none(), st.floats(allow_nan=False)),
        st.one_of(st.none(), st.booleans()),
        st.one_of(st.none(), st.text(max_size=3)),
    ),
    min_size=1,
    max_size=8,
)
KINDS = (pa.int64(), pa.float64(), pa.bool_(), pa.string())


def _columns(rows: list[tuple[object, ...]]) -> list[pa.Array]:
    return [pa.array([row[at] for row in rows], kind) for at, kind in enumerate(KINDS)]


@given(ROWS, st.data())
def test_rows_hash_alone_as_together(rows: list[tuple[object, ...]], data: st.DataObject) -> None:
    whole = _columns(rows)
    cut = data.draw(st.integers(0, len(rows)))
    hashes = hash_columns(whole)
    chunked = [pa.chunked_array([column[:cut], column[cut:]]) for column in whole]
    assert hash_columns(chunked).tolist() == hashes.tolist()
    assert hash_columns([column[cut:] for column in whole]).tolist() == hashes[:, cut:].tolist()
    for at, row in enumerate(rows):
        assert hash_columns(_columns([row])).tolist() == hashes[:, at : at + 1].tolist()


@given(ROWS)
def test_different_rows_hash_differently(rows: list[tuple[object, ...]]) -> None:
    pairs = list(zip(*hash_columns(_columns(rows)).tolist(), strict=True))
    assert len(set(pairs)) == len(set(rows))  # of 128 bits; a chance of 2^-120 that this fails


@given(st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(max_size=5), st.booleans()))
def test_the_first_lane_is_what_the_oracle_computes(value: object) -> None:
    assert hash_columns([pa.array([value])])[0].view(np.uint64).tolist() == [oracle.hash_64(value)]


@pytest.mark.parametrize(
    ("one", "other", "kind", "alike"),
    [
        (0.0, -0.0, pa.float64(), True),  # equal numbers
        (0.0, None, pa.float64(), False),  # a null is not what fills it
        (0, None, pa.int64(), False),
        ("", None, pa.string(), False),
        (False, None, pa.bool_(), False),
        ("é", "e\u0301", pa.string(), False),  # other bytes, though they look alike
    ],
)
def test_what_is_alike(one: object, other: object, kind: pa.DataType, alike: bool) -> None:
    hashes = hash_columns([pa.array([one, other], kind)])
    assert (hashes[:, 0].tolist() == hashes[:, 1].tolist()) == alike


def test_the_bits_are_these_forever() -> None:
    rows = _columns([(1, 0.5, True, "a"), (None, None, None, None)])
    assert hash_columns(rows).tolist() == [
        [-7517149829421806362, 8493232891646618273],
        [7203253552043769002, -6614860466356756996],
    ]  # rows in stores depend on them
