"""From what a file holds to what the declaration says: one array of the declared type, and the rows that do not fit.

Canonical types: int -> int64, float -> float64 (finite; NaN is null), string -> string, bool -> bool,
timestamp -> int64, microseconds since 1970-01-01T00:00:00Z, of the years 1 to 9999. A null stays null. Empty text is a
value of a string column, and null in a column of any other type, as it is where a CSV file leaves out the quotes.
"""

import datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modules.spec import InputError, Typed

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_OFFSET = r"(Z|[+-][0-9]{2}:?[0-9]{2})$"
_DATE_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?"
_EXACT = 2.0**53
_INT64 = range(-(2**63), 2**63)
_FLOAT32_LIMIT = float(np.finfo(np.float32).max)
_PER_UNIT = {"s": 1_000_000, "ms": 1_000, "us": 1}
_FIRST_MICRO, _LAST_MICRO = -62_135_596_800_000_000, 253_402_300_799_999_999
"""0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z."""
_END_OF_ARROW_ZONES = datetime.datetime(2038, 1, 1)


def accepted(column: Typed) -> str:
    """What a column of this declaration accepts, in words."""
    if column.type == "timestamp":
        if column.unit:
            return f"a whole number of {column.unit} since 1970-01-01T00:00:00Z, or a date and time with an offset"
        if column.zone:
            return f"a date and time such as 2016-03-01T09:30:00, local to {column.zone}, or one with an offset"
        return "a date and time with an offset, such as 2016-03-01T09:30:00Z (or declare unit: s, or zone: UTC)"
    return {
        "int": "a whole number below 2^63",
        "float": "a finite number that float32 holds" if column.becomes_float32 else "a finite number",
        "string": "UTF-8 text",
        "bool": "true, false, 1 or 0",
    }[column.type]


def conform(values: pa.Array, column: Typed, name: str) -> tuple[pa.Array, np.ndarray]:
    """Casts one column of a batch to its declared type.

    Args:
      values: As read: text, numbers, decimals, booleans, dates or timestamps.
      column: Its declaration.
      name: Its name, for errors.

    Returns:
      The array in the canonical type, null where a value does not fit, and a bool array, shape (rows,): the rows that
      hold a value that does not fit.

    Raises:
      InputError: No value of this Arrow type could fit.
    """
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_null(values.type):
        values = values.cast(pa.string())
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    if pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    if pa.types.is_string(values.type) and column.type != "string":
        # Not if_else: Arrow 18 garbles a slice of text there.
        values = pc.replace_with_mask(values, pc.fill_null(pc.equal(values, ""), False), pa.scalar(None, pa.string()))
    cast = {"int": _to_int, "float": _to_float, "string": _to_string, "bool": _to_bool, "timestamp": _to_micros}
    if (
        not (pa.types.is_primitive(values.type) or pa.types.is_decimal(values.type) or pa.types.is_string(values.type))
        or (result := cast[column.type](values, column)) is None
    ):
        raise InputError(f"column {name} is retyped: read {values.type}; accepted: {accepted(column)}.")
    fits = pc.or_kleene(pc.is_valid(result), pc.is_null(values, nan_is_null=True))
    return result, ~fits.to_numpy(zero_copy_only=False)


def _text(values: pa.Array, pattern: str) -> pa.Array:
    """Text without its surrounding blanks where it matches, else null."""
    trimmed = pc.utf8_trim_whitespace(values)
    return pc.if_else(pc.match_substring_regex(trimmed, pattern), trimmed, None)


def _to_float(values: pa.Array, column: Typed) -> pa.Array | None:
    if pa.types.is_string(values.type):
        try:
            numbers = pc.cast(values, pa.float64())
        except pa.ArrowInvalid:
            numbers = pc.cast(_text(values, _NUMBER), pa.float64())
    elif pa.types.is_decimal(values.type):
        numbers = pc.cast(pc.cast(values, pa.string()), pa.float64())  # by way of text: correctly rounded
    elif pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_boolean(values.type):
        numbers = pc.cast(values, pa.float64(), safe=False)
    else:
        return None
    fits = pc.is_finite(numbers)
    if column.becomes_float32:
        fits = pc.and_(fits, pc.less_equal(pc.abs(numbers), _FLOAT32_LIMIT))
    return pc.if_else(fits, numbers, None)


def _to_int(values: pa.Array, column: Typed) -> pa.Array | None:
    if values.type == pa.uint64():
        values = pc.if_else(pc.less(values, pa.scalar(2**63, pa.uint64())), values, None)
    if pa.types.is_boolean(values.type) or pa.types.is_integer(values.type):
        return pc.cast(values, pa.int64())
    if pa.types.is_decimal(values.type):
        return _integers(pc.cast(values, pa.string()))
    if pa.types.is_string(values.type):
        return _integers(values)
    return _whole(_to_float(values, column))


def _integers(values: pa.Array) -> pa.Array:
    """Text of whole numbers, written in any way, as int64; null where it is not whole or leaves int64."""
    if not pc.any(pc.match_substring_regex(values, "[xX]")).as_py():  # Arrow reads 0x10 as 16
        try:
            return pc.cast(values, pa.int64())
        except pa.ArrowInvalid:
            pass
    text = pc.replace_substring_regex(_text(values, _NUMBER), r"([0-9])\.0*$", r"\1")
    simple = pc.match_substring_regex(text, "^[+-]?[0-9]{1,18}$")
    integers = pc.cast(pc.ascii_ltrim(pc.if_else(simple, text, None), "+"), pa.int64())
    if integers.null_count > text.null_count:
        others = pc.if_else(simple, None, text).to_pylist()
        integers = pc.coalesce(integers, pa.array([_integer(other) for other in others], pa.int64()))
    return integers


def _integer(text: str | None) -> int | None:
    """The whole number that a text means exactly, else None."""
    try:
        number = Decimal(text or "0.5")
    except InvalidOperation:
        return None
    if number.adjusted() >= 20:
        return None if number else 0
    return int(number) if number == number.to_integral_value() and int(number) in _INT64 else None


def _whole(numbers: pa.Array | None) -> pa.Array | None:
    """Floats as int64 where they are whole and exact, else null."""
    if numbers is None:
        return None
    whole = pc.and_(pc.equal(numbers, pc.round(numbers)), pc.less(pc.abs(numbers), _EXACT))
    return pc.cast(pc.if_else(whole, numbers, None), pa.int64())


def _to_string(values: pa.Array, column: Typed) -> pa.Array | None:
    if pa.types.is_string(values.type):
        return values
    if pa.types.is_integer(values.type) or pa.types.is_boolean(values.type) or pa.types.is_decimal(values.type):
        return pc.cast(values, pa.string())
    return None


def _to_bool(values: pa.Array, column: Typed) -> pa.Array | None:
    if pa.types.is_boolean(values.type):
        return values
    text = pc.cast(values, pa.string()) if pa.types.is_integer(values.type) else values
    if not pa.types.is_string(text.type):
        return None
    text = pc.utf8_lower(_text(text, "^(?i:true|false|1|0)$"))
    return pc.if_else(pc.is_valid(text), pc.is_in(text, pa.array(["true", "1"])), None)


def _to_micros(values: pa.Array, column: Typed) -> pa.Array | None:
    if pa.types.is_date(values.type):
        values = pc.cast(values, pa.timestamp("ms"))
    if pa.types.is_timestamp(values.type):
        return _instants(values, column)
    if pa.types.is_boolean(values.type):
        return None
    if pa.types.is_string(values.type):
        counted = _counted(_text(values, _NUMBER), column)
        return pc.coalesce(counted, _parsed(values, column))
    return _counted(values, column)


def _counted(values: pa.Array, column: Typed) -> pa.Array | None:
    """Numbers of the declared unit as microseconds; null where there is no unit."""
    numbers = _to_int(values, column)
    if numbers is None:
        return None
    return _micros(numbers, column.unit) if column.unit else pa.nulls(len(values), pa.int64())


def _micros(counts: pa.Array, unit: str) -> pa.Array:
    """Counts of a unit since 1970 as microseconds, nanoseconds rounded down; null outside the years 1 to 9999."""
    if unit == "ns":
        floor = pc.fill_null(counts, 0).to_numpy(zero_copy_only=False) // 1000
        return pc.if_else(pc.is_valid(counts), pa.array(floor), None)
    per_unit = _PER_UNIT[unit]
    fits = pc.and_(pc.greater_equal(counts, _FIRST_MICRO // per_unit), pc.less_equal(counts, _LAST_MICRO // per_unit))
    return pc.multiply(pc.if_else(fits, counts, None), per_unit)


def _parsed(values: pa.Array, column: Typed) -> pa.Array:
    """ISO 8601 text, with an offset or local to the declared zone, as microseconds."""
    with_offset = _text(values, _DATE_TIME + _OFFSET)
    local = _text(values, _DATE_TIME + "$")
    return pc.coalesce(
        _cast_each(with_offset, pa.timestamp("us", "UTC"), column), _cast_each(local, pa.timestamp("us"), column)
    )


def _cast_each(text: pa.Array, to: pa.DataType, column: Typed) -> pa.Array:
    """Casts text to instants; a day or hour that does not exist becomes null, and not an error for its whole batch."""
    try:
        instants = pc.cast(text, to)
    except pa.ArrowInvalid:

        def one(value: pa.Scalar) -> int | None:
            try:
                return pc.cast(value, to).value
            except pa.ArrowInvalid:
                return None

        instants = pc.cast(pa.array([one(value) for value in text], pa.int64()), to)
    return _instants(instants, column)


def _instants(values: pa.Array, column: Typed) -> pa.Array:
    """Timestamps as microseconds; null where a local time has no zone, does not exist, or means two instants."""
    micros = _micros(values.cast(pa.int64()), values.type.unit)
    if values.type.tz is not None:
        return micros
    if column.zone is None:
        return pa.nulls(len(values), pa.int64())
    local = micros.cast(pa.timestamp("us"))
    early, late = (pc.assume_timezone(local, column.zone, ambiguous=which, nonexistent=which)
                   for which in ("earliest", "latest"))  # fmt: skip
    chosen = early if column.ambiguous == "earliest" else late
    existing = pc.equal(pc.local_timestamp(chosen), local)
    single = pc.equal(early, late) if column.ambiguous is None else True
    instants = pc.if_else(pc.and_(existing, single), chosen, None).cast(pa.int64())
    if pc.any(after := pc.greater_equal(local, _END_OF_ARROW_ZONES)).as_py():
        instants = pc.if_else(after, _later_instants(pc.if_else(after, local, None), column), instants)
    return _micros(instants, "us")


def _later_instants(local: pa.Array, column: Typed) -> pa.Array:
    """`_instants` of local times for which Arrow knows no summer time."""
    zone = ZoneInfo(column.zone or "UTC")

    def instant(time: datetime.datetime | None) -> datetime.datetime | None:
        if time is None:
            return None
        try:
            early, late = (time.replace(tzinfo=zone, fold=fold).astimezone(datetime.UTC) for fold in (0, 1))
        except OverflowError:  # the year 10000
            return None
        chosen = early if column.ambiguous == "earliest" else late
        existing = chosen.astimezone(zone).replace(tzinfo=None) == time
        return chosen if existing and (column.ambiguous or early == late) else None

    return pa.array([instant(time) for time in local.to_pylist()], pa.timestamp("us", "UTC")).cast(pa.int64())
