"""What a row of conformed columns gets beside its features: its identity, its label, and its split."""

import hashlib
import itertools
import math
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modules.spec import EVAL, TRAIN, VALIDATION
from modules.spec.label import Label
from modules.spec.split import Split


def row_ids(columns: dict[str, pa.Array]) -> pa.Array:
    """The identity of each row: blake2b of its values to 128 bits, as 32 hexadecimal digits.

    The values are taken in the order of the columns' names; each is written as `length:text`, a null as `-`, so that no
    two different rows give the same text.
    """
    parts = []
    for name in sorted(columns):
        values = columns[name].dictionary_encode()  # so that a value is written once, however many rows have it
        text = pc.cast(values.dictionary, pa.string())
        length = pc.cast(pc.binary_length(text), pa.string())
        parts.append(pc.binary_join_element_wise(length, text, ":").take(values.indices))
    rows = pc.binary_join_element_wise(*parts, ",", null_handling="replace", null_replacement="-")
    _, offsets, data = rows.buffers()
    ends = np.frombuffer(offsets, np.int32, len(rows) + 1).tolist()
    text = memoryview(data)
    digests = [hashlib.blake2b(text[start:end], digest_size=16).digest() for start, end in itertools.pairwise(ends)]
    places = np.arange(len(rows) + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(len(rows), pa.py_buffer(places), pa.py_buffer(b"".join(digests).hex().encode()))


def labels(columns: dict[str, pa.Array], label: Label) -> pa.Array:
    """The label of each row, int64 with 0 and 1; null where a column that it is made from is null."""
    if label.ratio_above is None:
        assert label.column is not None
        return pc.cast(columns[label.column], pa.int64())
    rule = label.ratio_above
    threshold = Fraction(rule.threshold)
    pair = columns[rule.numerator], columns[rule.denominator]
    try:
        numerator, denominator = (_units(values, rule.scale) for values in pair)
        left = pc.multiply_checked(numerator, pa.scalar(threshold.denominator, pa.int64()))
        right = pc.multiply_checked(denominator, pa.scalar(threshold.numerator, pa.int64()))
        return pc.cast(pc.greater(left, right), pa.int64())
    except (pa.ArrowInvalid, OverflowError):  # a product leaves int64
        above = [
            None if None in row else int(_unit(row[0], rule.scale) > threshold * _unit(row[1], rule.scale))
            for row in zip(*(values.to_pylist() for values in pair), strict=True)
        ]
        return pa.array(above, pa.int64())


def _units(values: pa.Array, scale: int) -> pa.Array:
    """`rint(value * scale)`, half to even, as int64."""
    if pa.types.is_integer(values.type):
        return pc.multiply_checked(values, pa.scalar(scale, pa.int64()))
    return pc.cast(pc.round(pc.multiply(values, float(scale)), round_mode="half_to_even"), pa.int64())


def _unit(value: float, scale: int) -> int:
    """`_units` of one value of any size."""
    product = value * scale
    return round(product) if math.isfinite(product) else int(value) * scale


def time_cuts(micros: np.ndarray, counts: np.ndarray, split: Split) -> tuple[int, int]:
    """Where the validation and the eval split start, in microseconds, each start included.

    Args:
      micros: int64, shape (n,): the distinct times, ascending.
      counts: int64, shape (n,): how many rows each has.
      split: The shares.
    """
    upto = np.cumsum(counts)
    rows = int(upto[-1])
    ranks = [min(rows - 1, round(rows * (1 - later))) for later in (split.eval + split.validation, split.eval)]
    validation, evaluation = (int(micros[np.searchsorted(upto, rank, side="right")]) for rank in ranks)
    return validation, evaluation


def split_by_time(micros: pa.Array, cuts: tuple[int, int]) -> np.ndarray:
    """The split of each row, object array of names, shape (rows,)."""
    time = micros.to_numpy(zero_copy_only=False)
    return np.where(time >= cuts[1], EVAL, np.where(time >= cuts[0], VALIDATION, TRAIN)).astype(object)


def split_by_hash(entities: pa.Array, ids: pa.Array, split: Split) -> np.ndarray:
    """The split of each row by the hash of its entity, or of its id where the entity is null; shape (rows,).

    A row with neither, which `Ingest` reports, gets a split all the same.
    """

    def share(text: str) -> float:
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64

    texts = pc.coalesce(pc.binary_join_element_wise("entity", pc.cast(entities, pa.string()), ":"),
                        pc.binary_join_element_wise("row", ids, ":"), "")  # fmt: skip
    names = np.empty(len(ids), object)
    dictionary = texts.dictionary_encode()
    shares = np.array([share(text) for text in dictionary.dictionary.to_pylist()])
    drawn = shares[dictionary.indices.to_numpy()]
    names[:] = np.where(drawn < split.eval, EVAL, np.where(drawn < split.eval + split.validation, VALIDATION, TRAIN))
    return names
