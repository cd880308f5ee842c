"""Entity keys: the values of the key's columns as bytes that no other values give."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Value = int | str | bool


def encode_key(values: Sequence[Value]) -> bytes:
    r"""A key as bytes: for each value its type, the length of what follows, and the value.

    >>> encode_key([8, "Flash Cab"])
    b'i\x08\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00s\t\x00\x00\x00Flash Cab'
    """
    parts = []
    for value in values:
        if isinstance(value, bool):
            kind, content = b"b", bytes([value])
        elif isinstance(value, int):
            kind, content = b"i", value.to_bytes(8, "little", signed=True)
        else:
            kind, content = b"s", value.encode()
        parts.append(kind + len(content).to_bytes(4, "little") + content)
    return b"".join(parts)


def decode_key(key: bytes) -> tuple[Value, ...]:
    """What `encode_key` was given."""
    values: list[Value] = []
    while key:
        kind, length = key[:1], int.from_bytes(key[1:5], "little")
        content, key = key[5 : 5 + length], key[5 + length :]
        if kind == b"b":
            values.append(bool(content[0]))
        else:
            values.append(int.from_bytes(content, "little", signed=True) if kind == b"i" else content.decode())
    return tuple(values)


def code_keys(columns: Sequence[pa.Array]) -> tuple[np.ndarray, list[bytes]]:
    """The distinct keys of rows, and which of them each row has.

    Args:
      columns: The key's columns, of type int64, string or bool, each of shape (rows,).

    Returns:
      int64, shape (rows,): the index of the row's key, -1 where one of its values is null; and the keys, encoded.
    """
    codes = np.zeros(len(columns[0]), np.int64)
    dictionaries: list[list[Value]] = []
    null = np.zeros(len(columns[0]), bool)
    for column in columns:
        coded = (column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column).dictionary_encode()
        null |= pc.is_null(coded).to_numpy(zero_copy_only=False)
        inner = pc.fill_null(coded.indices.cast(pa.int64()), 0).to_numpy()
        values = coded.dictionary.to_pylist() or [0]
        distinct, codes = _distinct(codes * len(values) + inner, max(len(dictionaries), 1) * len(values))
        dictionaries = [[*(dictionaries[at // len(values)] if dictionaries else []), values[at % len(values)]]
                        for at in distinct.tolist()]  # fmt: skip
    used, compact = _distinct(codes[~null], len(dictionaries))
    codes = np.full(len(codes), -1, np.int64)
    codes[~null] = compact
    return codes, [encode_key(dictionaries[at]) for at in used.tolist()]


def _distinct(codes: np.ndarray, bound: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct codes, ascending, and which of them each is; int64, shapes (distinct,) and (codes,).

    Args:
      codes: int64, shape (codes,), not negative.
      bound: Above all of them; where it is not large, they need not be sorted.
    """
    if bound > 4 * len(codes) + 1024:
        distinct, inverse = np.unique(codes, return_inverse=True)
        return distinct, inverse
    found = np.zeros(bound, bool)
    found[codes] = True
    return np.flatnonzero(found), (np.cumsum(found) - 1)[codes]
