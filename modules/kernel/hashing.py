"""Hashes of columns, the same in batch and stream and on every machine.

Text is hashed by blake2b; fixed-width values are mixed by the finaliser of splitmix64 (Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", 2014), which is a bijection of 64 bits; two lanes make 128 bits.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_SEEDS = (0x243F6A8885A308D3, 0x13198A2E03707344)  # the fractional digits of pi
_ODD = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)
_NULL = 0xA4093822299F31D0
_PRESENT = 0x082EFA98EC4E6C89


def hash_columns(columns: Sequence[pa.Array]) -> np.ndarray:
    """128 bits a row, of the values in the order of the columns; nulls differ from all values.

    Args:
      columns: At least one, of type int64, float64, bool or string, each of shape (rows,). -0.0 is 0.0.

    Returns:
      int64, shape (2, rows).
    """
    return hash_words([word for column in columns for word in _words(column)])


def hash_words(words: Sequence[np.ndarray]) -> np.ndarray:
    """128 bits a row of at least one word of 64 bits each; int64, shape (2, rows)."""
    lanes = np.empty((2, len(words[0])), np.uint64)
    for lane, (seed, odd) in enumerate(zip(_SEEDS, _ODD, strict=True)):
        state = np.full(len(words[0]), seed, np.uint64)
        for word in words:
            state = _mix(state + word.view(np.uint64) * np.uint64(odd))
        lanes[lane] = state
    return lanes.view(np.int64)


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _words(column: pa.Array) -> list[np.ndarray]:
    """A column as words, and a word that tells nulls from values."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    valid = np.where(pc.is_valid(column).to_numpy(zero_copy_only=False), np.uint64(_PRESENT), np.uint64(_NULL))
    if pa.types.is_string(column.type):
        coded = column.dictionary_encode()
        digests = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in coded.dictionary.to_pylist()]
        table = np.frombuffer(b"".join([*digests, bytes(16)]), "<u8").reshape(-1, 2)
        codes = pc.fill_null(coded.indices.cast(pa.int64()), len(digests)).to_numpy()
        return [valid, np.ascontiguousarray(table[codes, 0]), np.ascontiguousarray(table[codes, 1])]
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int64())
    filled = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    if filled.dtype == np.float64:
        filled = filled + 0.0
    return [valid, np.ascontiguousarray(filled).view(np.uint64)]
