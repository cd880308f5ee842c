import itertools
from collections import Counter
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from modules.spec import EVAL, TRAIN, VALIDATION
from modules.spec.label import Label, RatioAbove
from modules.spec.split import Split
from pipeline.ingest.conform import conform
from pipeline.ingest.files import find_files
from pipeline.ingest.rows import labels, row_ids, split_by_hash, split_by_time, time_cuts
from tests.artifacts import taxi

FIFTH = Label(name="big", ratio_above=RatioAbove(numerator="tips", denominator="fare", threshold="1/5", scale=100))
LOOKALIKES = st.sampled_from([None, "", "-", ",", "0:", "1:a", "1:a,-", "-,-", "1:-", "a,1:b", ":", "é", "\0"])
cells = st.one_of(LOOKALIKES, st.text(max_size=3))


def text(values: list[str | None]) -> pa.Array:
    return pa.array(values, pa.string())


def test_a_row_id_is_32_hexadecimal_digits_and_never_changes() -> None:
    """Ids are kept in stores and reports, so that an edit of the encoding must be seen here."""
    columns = {"b": text(["x", None]), "a": pa.array([1, 2]), "c": pa.array([0.1, None]), "d": pa.array([True, None])}
    assert row_ids(columns).to_pylist() == ["688bd02c00f6e4321d08c36d5adc8c44", "fa0674316f3400d81cc00cf55a575ff8"]


@given(st.lists(st.tuples(cells, cells, cells), unique=True, min_size=2, max_size=20))
def test_different_rows_have_different_ids(rows: list[tuple[str | None, ...]]) -> None:
    columns = {name: text(list(values)) for name, values in zip("abc", zip(*rows, strict=True), strict=True)}
    assert len(set(row_ids(columns).to_pylist())) == len(rows)


def test_every_pair_of_lookalikes_differs() -> None:
    values = [None, "", "-", ",", "-,-", "0:", "1:-", "1:-,1:-", "2:-,", "a,1:b"]
    pairs = list(itertools.product(values, values))
    columns = {"a": text([a for a, _ in pairs]), "b": text([b for _, b in pairs])}
    assert len(set(row_ids(columns).to_pylist())) == len(pairs)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([0.0, -0.0, 5e-324, None]),
        pa.array([0.1, 0.1 + 2**-56, 0.30000000000000004, 0.3]),  # neighbours
        pa.array([2**53, 2**53 + 1, -1, None]),
        pa.array([True, False, None]),
    ],
)
def test_neighbouring_values_have_different_ids(values: pa.Array) -> None:
    assert len(set(row_ids({"a": values}).to_pylist())) == len(values)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), unique_by=lambda value: value.hex()))
def test_floats_with_different_bits_have_different_ids(values: list[float]) -> None:
    assert len(set(row_ids({"a": pa.array(values, pa.float64())}).to_pylist())) == len(values)


@given(st.lists(st.tuples(cells, st.one_of(st.none(), st.integers(-5, 5))), min_size=1), st.integers(0, 5))
def test_an_id_depends_on_nothing_but_the_row(rows: list[tuple[Any, Any]], cut: int) -> None:
    """Neither on the order of the columns, nor on the batch and the place in it."""
    columns = {"a": text([a for a, _ in rows]), "b": pa.array([b for _, b in rows], pa.int64())}
    ids = row_ids(columns).to_pylist()
    assert row_ids(dict(reversed(columns.items()))).to_pylist() == ids
    assert row_ids({name: values.slice(cut, 3) for name, values in columns.items()}).to_pylist() == ids[cut : cut + 3]
    assert [row_ids({name: values.take([i]) for name, values in columns.items()})[0].as_py()
            for i in range(len(rows))] == ids  # fmt: skip


def oracle(tips: float | None, fare: float | None) -> int | None:
    """The rule in cents, as a person would check it."""
    if tips is None or fare is None:
        return None
    cents = [(Decimal(value) * 100).quantize(Decimal(1), ROUND_HALF_EVEN) for value in (tips, fare)]
    return int(5 * cents[0] > cents[1])


@pytest.mark.parametrize(
    ("tips", "fare", "label"),
    [
        (2.01, 10.0, 1),
        (2.0, 10.0, 0),  # exactly a fifth is not above it
        (1.99, 10.0, 0),
        (0.2, 1.0, 0),  # in floats, 0.2 > 1.0 * 0.2 holds by luck only
        (1.45, 7.25, 0),  # in float32, 1.45 > 7.25 * 0.2
        (0.01, 0.0, 1),  # anything is above a fifth of nothing
        (0.0, 0.0, 0),
        (0.0, -1.0, 1),
        (None, 10.0, None),
        (2.0, None, None),
        (1e300, 10.0, 1),  # cents beyond int64
        (10.0, 1e300, 0),
        (1.7e308, 1.7e308, 1),  # cents beyond float64
    ],
)
def test_a_big_tip(tips: float | None, fare: float | None, label: int | None) -> None:
    columns = {"tips": pa.array([tips, 3.0], pa.float64()), "fare": pa.array([fare, 5.0], pa.float64())}
    assert labels(columns, FIFTH).to_pylist() == [label, 1]
    assert labels(columns, FIFTH).type == pa.int64()


amounts = st.one_of(st.none(), st.integers(-(10**9), 10**9).map(lambda cents: cents / 100))


@given(st.lists(st.tuples(amounts, amounts)))
def test_labels_agree_with_arithmetic_in_cents(pairs: list[tuple[float | None, float | None]]) -> None:
    tips, fare = (pa.array([pair[i] for pair in pairs], pa.float64()) for i in (0, 1))
    assert labels({"tips": tips, "fare": fare}, FIFTH).to_pylist() == [oracle(*pair) for pair in pairs]


int64 = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))


@given(st.lists(st.tuples(int64, int64), max_size=5), st.integers(1, 10**6), st.fractions(0, 10))
def test_labels_of_whole_numbers_are_exact(
    pairs: list[tuple[int | None, int | None]], scale: int, threshold: Fraction
) -> None:
    rule = RatioAbove(numerator="tips", denominator="fare", threshold=str(threshold), scale=scale)
    tips, fare = (pa.array([pair[i] for pair in pairs], pa.int64()) for i in (0, 1))
    expected = [None if None in (a, b) else int(Fraction(a) > threshold * Fraction(b)) for a, b in pairs]  # type: ignore[arg-type]  # None is in no Fraction
    assert labels({"tips": tips, "fare": fare}, Label(name="y", ratio_above=rule)).to_pylist() == expected


@given(st.lists(st.tuples(*[st.one_of(st.none(), st.floats(-1e305, 1e305))] * 2), max_size=5))
def test_a_label_does_not_depend_on_the_other_rows(pairs: list[tuple[float | None, float | None]]) -> None:
    tips, fare = (pa.array([pair[i] for pair in pairs], pa.float64()) for i in (0, 1))
    alone = [labels({"tips": tips.slice(i, 1), "fare": fare.slice(i, 1)}, FIFTH)[0] for i in range(len(pairs))]
    assert labels({"tips": tips, "fare": fare}, FIFTH).to_pylist() == [label.as_py() for label in alone]


@pytest.mark.parametrize("values", [pa.array([True, False, None]), pa.array([1, 0, None])])
def test_a_label_that_a_column_holds(values: pa.Array) -> None:
    assert labels({"y": values}, Label(name="y", column="y")).to_pylist() == [1, 0, None]


def test_float32_would_label_eight_real_trips_otherwise() -> None:
    [file] = find_files(taxi().data)
    table = pyarrow.csv.read_csv(
        file.path, convert_options=pyarrow.csv.ConvertOptions(include_columns=["tips", "fare"])
    )
    columns = {
        name: conform(table[name].combine_chunks().cast(pa.string()), taxi().columns[name], name)[0]
        for name in ("tips", "fare")
    }
    exact = labels(columns, FIFTH).to_numpy()
    tips, fare = (columns[name].to_numpy().astype(np.float32) for name in ("tips", "fare"))
    assert len(exact) == 15_002
    assert int((exact != (tips > fare * np.float32(0.2))).sum()) == 8
    assert exact.tolist() == [
        oracle(*pair) for pair in zip(*(columns[name].to_pylist() for name in columns), strict=True)
    ]


def split(validation: float = 0.1, evaluation: float = 0.2) -> Split:
    return Split(by="time", validation=validation, eval=evaluation)


def cut(times: list[int], shares: Split) -> list[str]:
    """The split of each time, by way of the distinct ones."""
    distinct, counts = np.unique(np.array(times, np.int64), return_counts=True)
    return list(split_by_time(pa.array(times, pa.int64()), time_cuts(distinct, counts, shares)))


@pytest.mark.parametrize(
    ("times", "train", "validation", "evaluation"),
    [
        (list(range(10)), 7, 1, 2),
        (list(range(100)), 70, 10, 20),
        ([0] * 7 + [1] + [2] * 2, 7, 1, 2),
        ([0] * 6 + [1, 1, 1] + [2], 6, 0, 4),  # the eval split starts inside a tie, and takes it whole
        ([0] * 6 + [1, 1] + [2, 2], 6, 2, 2),  # and so does the validation split
        ([0] * 10, 0, 0, 10),  # all alike
        ([5], 0, 0, 1),
        ([0, 1], 1, 0, 1),
        ([-3, -2, -1, 0, 1, 2, 3, 4, 5, 6], 7, 1, 2),  # before 1970
    ],
)
def test_time_splits(times: list[int], train: int, validation: int, evaluation: int) -> None:
    counts = Counter(cut(times, split()))
    assert (counts[TRAIN], counts[VALIDATION], counts[EVAL]) == (train, validation, evaluation)


@given(
    st.lists(st.integers(-20, 20), min_size=1, max_size=200), st.floats(0.05, 0.45), st.floats(0.05, 0.45), st.randoms()
)
def test_a_time_split_is_that_of_the_sorted_rows(
    times: list[int], validation: float, evaluation: float, rng: Any
) -> None:
    names = cut(times, split(validation, evaluation))
    ordered = sorted(times)
    first_eval = ordered[min(len(times) - 1, round(len(times) * (1 - evaluation)))]
    first_validation = ordered[min(len(times) - 1, round(len(times) * (1 - (evaluation + validation))))]
    assert names == [
        EVAL if time >= first_eval else VALIDATION if time >= first_validation else TRAIN for time in times
    ]
    pairs = list(zip(times, names, strict=True))
    rng.shuffle(pairs)
    assert cut([time for time, _ in pairs], split(validation, evaluation)) == [name for _, name in pairs]


by_hash = Split(by="hash", key="k", validation=0.1, eval=0.2)
entities = st.one_of(st.none(), st.text(max_size=4))


@given(st.lists(entities, min_size=1), st.integers(0, 5))
def test_an_entity_is_in_one_split_whatever_the_batch(values: list[str | None], cut: int) -> None:
    ids = text([f"id{i}" for i in range(len(values))])
    names = split_by_hash(text(values), ids, by_hash).tolist()
    where: dict[str, set[str]] = {}
    for value, name in zip(values, names, strict=True):
        if value is not None:
            where.setdefault(value, set()).add(name)
    assert all(len(found) == 1 for found in where.values())
    assume(cut < len(values))
    assert split_by_hash(text(values).slice(cut), ids.slice(cut), by_hash).tolist() == names[cut:]


@pytest.mark.parametrize("entities", [pa.array(range(20_000)), text([None] * 20_000)])
def test_shares_of_a_hash_split(entities: pa.Array) -> None:
    """Rows without an entity are divided by their ids. Five standard deviations of 20,000 draws are 1.4 %."""
    counts = Counter(split_by_hash(entities, text([f"id{i}" for i in range(20_000)]), by_hash).tolist())
    assert counts[VALIDATION] / 20_000 == pytest.approx(0.1, abs=0.014)
    assert counts[EVAL] / 20_000 == pytest.approx(0.2, abs=0.014)


def test_a_hash_split_never_changes() -> None:
    """A row that moved from eval to train between two runs would have been trained on."""
    names = split_by_hash(pa.array([0, 1, 2, 3, 4, 5, 6, 7, None, None]), text(list("abcdefghij")), by_hash)
    assert names.tolist() == ["train", "train", "train", "train", "train", "train", "train", "train", "train", "eval"]


def test_a_null_entity_is_not_an_entity_of_that_name() -> None:
    null, same, alone = (split_by_hash(text([entity]), text([row]), by_hash) for entity, row in
                         [(None, "a"), (None, "a"), ("a", "a")])  # fmt: skip
    assert null == same
    shares = [split_by_hash(text([None, f"{i}"]), text([f"{i}", "x"]), by_hash).tolist() for i in range(200)]
    assert any(a != b for a, b in shares)  # entity "7" and row "7" are drawn apart
    assert alone.shape == (1,)


def test_rows_without_entity_and_id_get_some_split() -> None:
    """`Ingest` reports such rows; it must live to do so."""
    assert split_by_hash(text([None, "a"]), text([None, "b"]), by_hash)[0] in (TRAIN, VALIDATION, EVAL)
