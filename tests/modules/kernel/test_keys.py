"""Keys as bytes, and which key each row has."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.kernel.keys import Value, code_keys, decode_key, encode_key

KEYS = st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.booleans(), st.text(max_size=4)), max_size=4).map(tuple)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "ab", None]), st.sampled_from([0, 1, -(2**63), None]), st.sampled_from([True, None])
    ),
    max_size=12,
)


@given(KEYS)
def test_a_key_comes_back(key: tuple[Value, ...]) -> None:
    back = decode_key(encode_key(key))
    assert (back, [type(value) for value in back]) == (key, [type(value) for value in key])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "bc"), ("ab", "c")),  # lengths are written
        ((1,), ("\x01" + "\x00" * 7,)),  # so are types: these have the same content
        ((1,), (True,)),  # equal in Python
        (("",), ()),
        ((0, ""), ("", 0)),
    ],
)
def test_no_two_keys_share_bytes(one: tuple[Value, ...], other: tuple[Value, ...]) -> None:
    assert encode_key(one) != encode_key(other)


@given(ROWS, st.integers(1, 3), st.data())
def test_each_row_has_its_key(rows: list[tuple[Value | None, ...]], width: int, data: st.DataObject) -> None:
    kinds = (pa.string(), pa.int64(), pa.bool_())
    columns = [pa.array([row[at] for row in rows], kinds[at]) for at in range(width)]
    cut = data.draw(st.integers(0, len(rows)))
    codes, keys = code_keys(columns)
    found = [None if code < 0 else decode_key(keys[code]) for code in codes.tolist()]
    assert found == [None if None in row[:width] else row[:width] for row in rows]
    assert len(set(keys)) == len(keys) == len(set(codes.tolist()) - {-1})  # each is used, and once
    again, others = code_keys([pa.chunked_array([column[:cut], column[cut:]]) for column in columns])
    assert [None if code < 0 else others[code] for code in again.tolist()] == [
        None if code < 0 else keys[code] for code in codes.tolist()
    ]
