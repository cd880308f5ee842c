import datetime as dt
import math
import struct
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.spec import Column, InputError
from pipeline.ingest.conform import accepted, conform

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
INT = Column(type="int", role="label")
FLOAT = Column(type="float", role="label")
STRING = Column(type="string", role="key")
BOOL = Column(type="bool", role="label")
BAD = object()
"""Stands for a value that does not fit: null in the result, and flagged."""


def timestamp(**fields: Any) -> Column:
    return Column(type="timestamp", role="time", **fields)


CHICAGO = timestamp(zone="America/Chicago")
EARLIEST, LATEST = (timestamp(zone="America/Chicago", ambiguous=which) for which in ("earliest", "latest"))


def conformed(values: pa.Array, column: Column) -> list[Any]:
    """The canonical values, `BAD` where one does not fit."""
    result, bad = conform(values, column, "x")
    assert len(result) == len(bad) == len(values)
    assert not (bad & result.is_valid().to_numpy(zero_copy_only=False)).any()
    return [BAD if flagged else value for value, flagged in zip(result.to_pylist(), bad, strict=True)]


def text(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string())


def micros(iso: str) -> int:
    return (dt.datetime.fromisoformat(iso) - EPOCH) // dt.timedelta(microseconds=1)


def utc(iso: str) -> int:
    return micros(f"{iso}+00:00")


def bits(value: float) -> bytes:
    return struct.pack(">d", value)


def whole(number: str) -> int | object:
    """The plain-Python oracle: the integer that a decimal text means."""
    exact = Fraction(number)
    return int(exact) if exact.denominator == 1 and -(2**63) <= exact < 2**63 else BAD


CASES: list[tuple[Column, pa.Array, list[Any]]] = [
    # int
    (INT, pa.array([1, None, -128], pa.int8()), [1, None, -128]),
    (INT, pa.array([0, 2**63 - 1, 2**53 + 1], pa.uint64()), [0, 2**63 - 1, 2**53 + 1]),
    (INT, pa.array([2**63, 2**64 - 1, None], pa.uint64()), [BAD, BAD, None]),  # beyond int64
    (INT, pa.array([True, False, None]), [1, 0, None]),
    (INT, pa.array([1.0, 1.5, -0.0, math.nan, None, math.inf]), [1, BAD, 0, None, None, BAD]),
    (INT, pa.array([2.0**53 - 1, 2.0**53, -(2.0**53), 1e300]), [2**53 - 1, BAD, BAD, BAD]),  # may stand for 2^53 + 1
    (INT, pa.array([1.0, 0.1], pa.float32()), [1, BAD]),
    (INT, pa.array([np.float16(3), np.float16(0.5)], pa.float16()), [3, BAD]),
    (INT, pa.array([Decimal("9223372036854775807"), Decimal("9223372036854775808")]), [2**63 - 1, BAD]),
    (INT, pa.array([Decimal("9007199254740991.4"), Decimal("9007199254740993.0")]), [BAD, 2**53 + 1]),  # no float holds
    (INT, pa.array([Decimal("1E+3"), None], pa.decimal128(5, -3)), [1000, None]),
    (INT, text("1", " 1 ", "+1", "-1", "007", "12.0", None), [1, 1, 1, -1, 7, 12, None]),
    (INT, text("12.", "1e5", "1.5e1", "1500e-2"), [12, 100_000, 15, 15]),
    (INT, text("12.5", "1.", ".0", "0.", "-0", "1e-1", "10e-1"), [BAD, 1, 0, 0, 0, BAD, 1]),
    (INT, text("0e30", "-.0e99", "1e30"), [0, 0, BAD]),
    (INT, text("0x10"), [BAD]),  # alone in a batch, too: Arrow would take it for 16
    (INT, text("0x10", "0X10", "1_000", "1,000", "1 000", "nan", "inf", "x", "\uff11"), [BAD] * 9),
    (INT, text("", "5"), [None, 5]),  # as if it were not quoted
    (INT, text(" ", "-", "+", ".", "e5", "1e"), [BAD] * 6),
    (INT, text("9223372036854775807", "9223372036854775808", "-9223372036854775808"), [2**63 - 1, BAD, -(2**63)]),
    (INT, text("9223372036854775807.0", "-9223372036854775809", "9" * 40), [2**63 - 1, BAD, BAD]),
    (INT, text("9007199254740993", "9007199254740993.0", "9007199254740991.4"), [2**53 + 1, 2**53 + 1, BAD]),
    (INT, text("1.0000000000000000000000000001", "1e999999999", "1e-999999999", "1e" + "9" * 30), [BAD] * 4),
    (INT, pa.array(["5", None, "x"], pa.large_string()), [5, None, BAD]),
    (INT, pa.array(["5", None, "x"], pa.string_view()), [5, None, BAD]),
    (INT, pa.array(["5", None, "5"]).dictionary_encode(), [5, None, 5]),
    (INT, pa.nulls(2), [None, None]),
    (INT, pa.array([], pa.string()), []),
    # float
    (FLOAT, pa.array([1, 2**53 + 1, None]), [1.0, 2.0**53, None]),  # rounded to even
    (FLOAT, pa.array([2**64 - 1], pa.uint64()), [2.0**64]),
    (FLOAT, pa.array([True, None]), [1.0, None]),
    (FLOAT, pa.array([0.1, math.nan, math.inf, -math.inf, None]), [0.1, None, BAD, BAD, None]),
    (FLOAT, pa.array([np.float16(0.5), np.float16(math.nan)], pa.float16()), [0.5, None]),
    (FLOAT, text("1.5", " 1.5\t", "+1.5", "-0", None, ""), [1.5, 1.5, 1.5, 0.0, None, None]),
    (FLOAT, text("1e5", ".5", "5."), [1e5, 0.5, 5.0]),
    (FLOAT, text("nan", "inf", "-Infinity", "1e999", "0x1p3", "1_0", "1,5", "x"), [BAD] * 8),
    (FLOAT, text("nan"), [BAD]),  # alone in a batch: Arrow would read it
    (FLOAT, text("1e-999", "4.9e-324", "1.7976931348623157e308"), [0.0, 5e-324, 1.7976931348623157e308]),
    (FLOAT, pa.array([Decimal("0.1"), None]), [0.1, None]),
    # string
    (STRING, text("a", "", None, " "), ["a", "", None, " "]),  # empty text is text
    (STRING, pa.array([7, None]), ["7", None]),
    (STRING, pa.array([True, None]), ["true", None]),
    (STRING, pa.array([Decimal("1.50")]), ["1.50"]),
    (STRING, pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
    (STRING, pa.nulls(1), [None]),
    # bool
    (BOOL, pa.array([True, None, False]), [True, None, False]),
    (BOOL, pa.array([0, 1, 2, -1, None]), [False, True, BAD, BAD, None]),
    (BOOL, text("true", "FALSE", " True ", "1", "0", None, ""), [True, False, True, True, False, None, None]),
    (BOOL, text("yes", "t", "2", "1.0", "01", "truefalse"), [BAD] * 6),
    # timestamp: numbers
    (timestamp(unit="s"), pa.array([0, 1, -1, None]), [0, 10**6, -(10**6), None]),
    (timestamp(unit="ms"), pa.array([-1], pa.int32()), [-1000]),
    (timestamp(unit="us"), pa.array([-1]), [-1]),
    (timestamp(unit="s"), pa.array([253_402_300_799, 253_402_300_800]), [utc("9999-12-31T23:59:59"), BAD]),
    (timestamp(unit="s"), pa.array([-62_135_596_800, -62_135_596_801]), [utc("0001-01-01T00:00:00"), BAD]),
    (timestamp(unit="s"), pa.array([2**63 - 1, -(2**63), 2**62]), [BAD] * 3),  # the product would leave int64
    (timestamp(unit="us"), pa.array([2**63 - 1, -(2**63)]), [BAD] * 2),
    (timestamp(unit="s"), pa.array([1.0, 1.5, math.nan]), [10**6, BAD, None]),
    (timestamp(unit="s"), text("5", " 5 ", "5.0", "5e0", "5.5", None), [5_000_000] * 4 + [BAD, None]),
    (timestamp(unit="s"), text("1970-01-01T00:00:05Z", "5"), [5_000_000] * 2),  # text with an offset needs no unit
    (timestamp(), pa.array([5]), [BAD]),  # five what?
    (timestamp(), text("5", "2016"), [BAD, BAD]),
    # timestamp: typed
    (timestamp(), pa.array([1, -1], pa.timestamp("s", "UTC")), [10**6, -(10**6)]),
    (timestamp(), pa.array([1, -1], pa.timestamp("ms", "Asia/Tokyo")), [1000, -1000]),
    (timestamp(), pa.array([1, -1], pa.timestamp("us", "UTC")), [1, -1]),
    (timestamp(), pa.array([1, 999, 1000], pa.timestamp("ns", "UTC")), [0, 0, 1]),  # floors,
    (timestamp(), pa.array([-1, -1000, -1001], pa.timestamp("ns", "UTC")), [-1, -1, -2]),  # before 1970, too
    (timestamp(), pa.array([-(2**63), 2**63 - 1], pa.timestamp("ns", "+05:30")), [-(2**63) // 1000, 2**63 // 1000]),
    (timestamp(), pa.array([2**62, -(2**62)], pa.timestamp("s", "UTC")), [BAD, BAD]),
    (timestamp(), pa.array([0], pa.timestamp("us")), [BAD]),  # local to where?
    (timestamp(zone="UTC"), pa.array([0, None], pa.timestamp("us")), [0, None]),
    (CHICAGO, pa.array([dt.datetime(2016, 3, 1, 9, 30)], pa.timestamp("s")), [micros("2016-03-01T09:30:00-06:00")]),
    (CHICAGO, pa.array([2**62], pa.timestamp("s")), [BAD]),
    (CHICAGO, pa.array([-1], pa.timestamp("ns")), [utc("1970-01-01T06:00:00") - 1]),
    (timestamp(), pa.array([dt.datetime(2016, 11, 6, 7, 30, tzinfo=dt.UTC)], pa.timestamp("ns", "America/Chicago")), [
        utc("2016-11-06T07:30:00")]),  # its local time is ambiguous, the instant is not
    (CHICAGO, pa.array([dt.date(2016, 3, 1), None]), [micros("2016-03-01T00:00:00-06:00"), None]),
    (CHICAGO, pa.array([dt.date(2016, 7, 1)], pa.date64()), [micros("2016-07-01T00:00:00-05:00")]),
    (timestamp(), pa.array([dt.date(2016, 3, 1)]), [BAD]),
    (CHICAGO, pa.array([2**31 - 1, -(2**31)], pa.int32()).cast(pa.date32()), [BAD, BAD]),
    # timestamp: text
    (timestamp(), text("2016-03-01T09:30:00Z", "2016-03-01 09:30:00Z", "2016-03-01T09:30Z"), [
        utc("2016-03-01T09:30:00")] * 3),
    (timestamp(), text("2016-03-01T09:30:00-06:00", "2016-03-01T09:30:00-0600", " 2016-03-01T15:30:00Z "), [
        utc("2016-03-01T15:30:00")] * 3),
    (timestamp(), text("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.999999Z"), [-500_000, -1]),
    (timestamp(), text("2016-03-01T09:30:00", "2016-03-01"), [BAD, BAD]),
    (timestamp(), text("2016-03-01T09:30:00.1234567Z", "2016-03-01T09:30:60Z", "2016-03-01T24:00:00Z"), [BAD] * 3),
    (timestamp(), text("2016-02-30T00:00:00Z", "2016-02-29T00:00:00Z"), [BAD, utc("2016-02-29T00:00:00")]),
    (timestamp(), text("2016-13-01T00:00:00Z", "16-01-01T00:00:00Z", "01/03/2016", "yesterday"), [BAD] * 4),
    (timestamp(), text("", None), [None, None]),
    (timestamp(), text("0000-01-01T00:00:00Z"), [BAD]),
    (timestamp(), text("0000-01-01T00:00:00Z", "2016-02-30T00:00:00Z"), [BAD, BAD]),
    (CHICAGO, text("2016-03-01T09:30:00", "2016-03-01 09:30", "2016-03-01T15:30:00Z"), [
        utc("2016-03-01T15:30:00")] * 3),
    (CHICAGO, text("2016-07-01", None), [utc("2016-07-01T05:00:00"), None]),
    # local time: the hour that autumn repeats and the one that spring leaves out
    (CHICAGO, text("2016-11-06T00:59:59", "2016-11-06T01:00:00", "2016-11-06T01:59:59", "2016-11-06T02:00:00"), [
        utc("2016-11-06T05:59:59"), BAD, BAD, utc("2016-11-06T08:00:00")]),
    (EARLIEST, text("2016-11-06T01:30:00"), [utc("2016-11-06T06:30:00")]),
    (LATEST, text("2016-11-06T01:30:00"), [utc("2016-11-06T07:30:00")]),
    *((column, text("2016-03-13T01:59:59", "2016-03-13T02:00:00", "2016-03-13T02:59:59", "2016-03-13T03:00:00"), [
        utc("2016-03-13T07:59:59"), BAD, BAD, utc("2016-03-13T08:00:00")])
      for column in (CHICAGO, EARLIEST,
                     LATEST)),
    (CHICAGO, text("2050-07-01T12:00:00", "2050-01-01T12:00:00"), [  # Arrow knows no summer time after 2037
        utc("2050-07-01T17:00:00"), utc("2050-01-01T18:00:00")]),
    (CHICAGO, text("2050-03-13T02:30:00", "2050-11-06T01:30:00", "9999-12-31T23:00:00"), [BAD, BAD, BAD]),
    (LATEST, text("2050-11-06T01:30:00"), [utc("2050-11-06T07:30:00")]),
]  # fmt: skip


@pytest.mark.parametrize(("column", "values", "expected"), CASES)
def test_values(column: Column, values: pa.Array, expected: list[Any]) -> None:
    assert conformed(values, column) == expected


@pytest.mark.parametrize(("column", "values", "expected"), CASES)
def test_a_value_conforms_alike_in_any_company(column: Column, values: pa.Array, expected: list[Any]) -> None:
    """A batch's fast path must not accept what the slow path refuses, nor the other way round."""
    assert [conformed(values.slice(i, 1), column)[0] for i in range(len(values))] == expected
    if pa.types.is_string(values.type):
        assert conformed(pa.concat_arrays([values, text("x", "2016-02-30")]), column)[:-2] == expected


@pytest.mark.parametrize(
    ("column", "canonical"),
    [
        (INT, pa.int64()),
        (FLOAT, pa.float64()),
        (STRING, pa.string()),
        (BOOL, pa.bool_()),
        (CHICAGO, pa.int64()),
        (timestamp(unit="s"), pa.int64()),
    ],
)
@pytest.mark.parametrize("values", [text("1", None, ""), pa.nulls(3), text(), pa.array(["1"]).dictionary_encode()])
def test_the_result_has_the_canonical_type(column: Column, canonical: pa.DataType, values: pa.Array) -> None:
    assert conform(values, column, "x")[0].type == canonical


@pytest.mark.parametrize(
    ("column", "values", "read"),
    [
        (INT, pa.array([b"5"]), "binary"),
        (INT, pa.array([dt.date(2016, 1, 1)]), r"date32\[day\]"),
        (INT, pa.array([0], pa.timestamp("s")), r"timestamp\[s\]"),
        (FLOAT, pa.array([0], pa.duration("s")), r"duration\[s\]"),
        (FLOAT, pa.array([dt.time(9)]), r"time64\[us\]"),
        (STRING, pa.array([1.5]), "double"),  # which of the many texts of a float?
        (STRING, pa.array([{"a": 1}]), "struct<a: int64>"),
        (STRING, pa.array([["a"]]), "list<item: string>"),
        (STRING, pa.array([0], pa.timestamp("s")), r"timestamp\[s\]"),
        (BOOL, pa.array([1.0]), "double"),
        (timestamp(unit="s"), pa.array([True]), "bool"),
        (timestamp(unit="s"), pa.array([dt.time(9)]), r"time64\[us\]"),
    ],
)
def test_a_type_of_which_no_value_could_fit(column: Column, values: pa.Array, read: str) -> None:
    with pytest.raises(InputError, match=rf"^column x is retyped: read {read}; accepted: {accepted(column)[:20]}"):
        conform(values, column, "x")


def test_a_feature_must_be_finite_as_float32() -> None:
    """The examples hold float32; 1e39 would silently be infinite there."""
    feature = Column.model_validate_json('{"type": "float", "role": "feature", "transform": {"name": "scale"}}')
    values = pa.array([3.4028234663852886e38, -3.4028234663852886e38, 3.5e38, -1e39, None])
    assert conformed(values, feature) == [3.4028234663852886e38, -3.4028234663852886e38, BAD, BAD, None]
    assert conformed(values, FLOAT)[2] == 3.5e38  # what makes the label stays float64
    assert accepted(feature) == "a finite number that float32 holds"


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (INT, "a whole number below 2^63"),
        (FLOAT, "a finite number"),
        (STRING, "UTF-8 text"),
        (BOOL, "true, false, 1 or 0"),
        (timestamp(unit="ms"), "a whole number of ms since 1970-01-01T00:00:00Z, or a date and time with an offset"),
        (CHICAGO, "a date and time such as 2016-03-01T09:30:00, local to America/Chicago, or one with an offset"),
        (
            timestamp(),
            "a date and time with an offset, such as 2016-03-01T09:30:00Z (or declare unit: s, or zone: UTC)",
        ),
    ],
)
def test_what_a_column_accepts_is_said_in_words(column: Column, words: str) -> None:
    assert accepted(column) == words


def test_decimal_keeps_its_arithmetic_to_itself() -> None:
    """The caller's decimal context must not change what fits."""
    with localcontext() as context:
        context.prec = 2
        assert conformed(text("1234567.00e0"), INT) == [1234567]


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite))
def test_a_float_written_out_comes_back_with_the_same_bits(values: list[float]) -> None:
    assert [bits(value) for value in conformed(text(*map(repr, values)), FLOAT)] == [bits(value) for value in values]


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_an_int64_written_out_comes_back(values: list[int]) -> None:
    assert conformed(text(*map(str, values)), INT) == values
    assert conformed(text(*(f"{value}.000" for value in values)), INT) == values


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**25), max_value=10**25)))
def test_a_decimal_is_rounded_once_and_correctly(values: list[Decimal]) -> None:
    """Arrow's own cast multiplies two rounded numbers."""
    column = pa.array(values, pa.decimal128(38, 9))
    assert [bits(value) for value in conformed(column, FLOAT)] == [bits(float(value)) for value in values]


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(2**64), max_value=2**64)))
def test_a_decimal_is_an_int_exactly_where_it_is_whole(values: list[Decimal]) -> None:
    assert conformed(pa.array(values, pa.decimal128(30, 3)), INT) == [whole(str(value)) for value in values]


numbers = st.from_regex(r"[+-]?([0-9]{1,22}\.?[0-9]{0,22}|\.[0-9]{1,22})([eE][+-]?[0-9]{1,2})?", fullmatch=True).filter(
    str.isascii
)


@given(st.lists(numbers))
def test_text_is_an_int_exactly_where_it_is_whole(values: list[str]) -> None:
    assert conformed(text(*values), INT) == [whole(value) for value in values]


@given(st.lists(numbers))
def test_text_is_rounded_to_a_float_as_python_does(values: list[str]) -> None:
    assert [bits(value) for value in conformed(text(*values), FLOAT)] == [bits(float(value)) for value in values]


@given(st.lists(st.one_of(st.none(), st.floats(width=32), st.floats())))
def test_a_float_is_an_int_where_it_is_whole_and_exact(values: list[float | None]) -> None:
    def expected(value: float | None) -> Any:
        if value is None or math.isnan(value):
            return None
        return int(value) if math.isfinite(value) and value.is_integer() and abs(value) < 2**53 else BAD

    assert conformed(pa.array(values, pa.float64()), INT) == list(map(expected, values))


@given(
    st.lists(st.one_of(st.none(), st.text(max_size=8), st.text("0123456789+-.eExXTZ: naif", max_size=12))),
    st.sampled_from([INT, FLOAT, BOOL, CHICAGO, timestamp(unit="ms"), timestamp()]),
)
def test_text_is_conformed_or_flagged_and_never_silently_null(values: list[str | None], column: Column) -> None:
    for value, result in zip(values, conformed(text(*values), column), strict=True):
        assert (result is None) == (value in (None, ""))


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.sampled_from(["s", "ms", "us", "ns"]), st.booleans())
def test_an_instant_is_floored_to_microseconds(counts: list[int], unit: str, zoned: bool) -> None:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]

    def expected(count: int) -> int | object:
        value = math.floor(Fraction(count * 10**6, per_second))
        return value if utc("0001-01-01T00:00:00") <= value <= utc("9999-12-31T23:59:59.999999") else BAD

    values = pa.array(counts, pa.int64()).cast(pa.timestamp(unit, "America/Chicago" if zoned else None))
    assert conformed(values, timestamp(zone="UTC")) == list(map(expected, counts))


@given(
    st.lists(st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1))),
    st.sampled_from(["America/Chicago", "Europe/Paris", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"]),
    st.sampled_from([None, "earliest", "latest"]),
)
def test_local_times_agree_with_zoneinfo(times: list[dt.datetime], zone: str, ambiguous: Any) -> None:
    def expected(time: dt.datetime) -> int | object:
        instants = [time.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(dt.UTC) for fold in (0, 1)]
        real = sorted({at for at in instants if at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) == time})
        if not real or (len(real) == 2 and ambiguous is None):
            return BAD
        return (real[-1 if ambiguous == "latest" else 0] - EPOCH) // dt.timedelta(microseconds=1)

    column = timestamp(zone=zone, ambiguous=ambiguous)
    assert conformed(pa.array(times, pa.timestamp("us")), column) == list(map(expected, times))
    assert conformed(text(*(time.isoformat() for time in times)), column) == list(map(expected, times))


@given(st.lists(st.datetimes(timezones=st.timezones()).filter(lambda time: 2 < time.year < 9999)))
def test_text_with_an_offset_means_that_instant(times: list[dt.datetime]) -> None:
    whole_minutes = [time for time in times if not time.utcoffset() % dt.timedelta(minutes=1)]  # type: ignore[operator]  # never None here
    written = [time.isoformat() for time in whole_minutes]
    assert conformed(text(*written), timestamp()) == [micros(time) for time in written]
