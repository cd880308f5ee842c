"""From what a file holds to what the declaration says: one array of the declared type, and the rows that do not fit.

Canonical types: int -> int64, float -> float64 (finite; NaN is null), string -> string, bool -> bool,
timestamp -> int64, microseconds since 1970-01-01T00:00:00Z. A null stays null; text is null where it is empty.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modules.spec import Column, InputError

_INTEGER = r"^[+-]?[0-9]{1,19}$"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_OFFSET = r"(Z|[+-][0-9]{2}:?[0-9]{2})$"
_DATE_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?"
_EXACT = 2.0**53
_PER_UNIT = {"s": 1_000_000, "ms": 1_000, "us": 1}


def accepted(column: Column) -> str:
    """What a column of this declaration accepts, in words."""
    if column.type == "timestamp":
        if column.unit:
            return f"a whole number of {column.unit} since 1970-01-01T00:00:00Z, or a date and time with an offset"
        if column.zone:
            return f"a date and time such as 2016-03-01T09:30:00, local to {column.zone}, or one with an offset"
        return "a date and time with an offset, such as 2016-03-01T09:30:00Z (or declare unit: s, or zone: UTC)"
    return {
        "int": "a whole number below 2^63",
        "float": "a finite number",
        "string": "UTF-8 text",
        "bool": "true, false, 1 or 0",
    }[column.type]


def conform(values: pa.Array, column: Column, name: str) -> tuple[pa.Array, np.ndarray]:
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
    if pa.types.is_large_string(values.type):
        values = values.cast(pa.string())
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


def _to_float(values: pa.Array, column: Column) -> pa.Array | None:
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
    return pc.if_else(pc.is_finite(numbers), numbers, None)


def _to_int(values: pa.Array, column: Column) -> pa.Array | None:
    if pa.types.is_boolean(values.type) or (pa.types.is_integer(values.type) and values.type != pa.uint64()):
        return pc.cast(values, pa.int64())
    if pa.types.is_string(values.type):
        try:
            return pc.cast(values, pa.int64())
        except pa.ArrowInvalid:
            whole = _text(values, _INTEGER)
            fits = [text is not None and -(2**63) <= int(text) < 2**63 for text in whole.to_pylist()]
            exact = pc.cast(pc.if_else(pa.array(fits), pc.ascii_ltrim(whole, "+"), None), pa.int64())
            rest = pc.if_else(pc.is_valid(whole), None, values)
            return pc.coalesce(exact, _whole(_to_float(rest, column)))
    if pa.types.is_decimal(values.type) and values.type.scale <= 0:
        return _to_int(pc.cast(values, pa.string()), column)
    return _whole(_to_float(values, column))


def _whole(numbers: pa.Array | None) -> pa.Array | None:
    """Floats as int64 where they are whole and exact, else null."""
    if numbers is None:
        return None
    whole = pc.and_(pc.equal(numbers, pc.round(numbers)), pc.less(pc.abs(numbers), _EXACT))
    return pc.cast(pc.if_else(whole, numbers, None), pa.int64())


def _to_string(values: pa.Array, column: Column) -> pa.Array | None:
    if pa.types.is_string(values.type):
        return values
    if pa.types.is_integer(values.type) or pa.types.is_boolean(values.type) or pa.types.is_decimal(values.type):
        return pc.cast(values, pa.string())
    return None


def _to_bool(values: pa.Array, column: Column) -> pa.Array | None:
    if pa.types.is_boolean(values.type):
        return values
    text = pc.cast(values, pa.string()) if pa.types.is_integer(values.type) else values
    if not pa.types.is_string(text.type):
        return None
    text = pc.utf8_lower(_text(text, "^(?i:true|false|1|0)$"))
    return pc.if_else(pc.is_valid(text), pc.is_in(text, pa.array(["true", "1"])), None)


def _to_micros(values: pa.Array, column: Column) -> pa.Array | None:
    if pa.types.is_date(values.type):
        values = pc.cast(values, pa.timestamp("ms"))
    if pa.types.is_timestamp(values.type):
        return _instants(values, column)
    if pa.types.is_string(values.type):
        counted = _counted(pc.if_else(pc.match_substring_regex(values, _NUMBER), values, None), column)
        return pc.coalesce(counted, _parsed(values, column))
    return _counted(values, column)


def _counted(values: pa.Array, column: Column) -> pa.Array | None:
    """Numbers of the declared unit as microseconds; null where there is no unit or the product leaves int64."""
    numbers = _to_int(values, column)
    if numbers is None:
        return None
    per_unit = _PER_UNIT.get(column.unit or "")
    if per_unit is None:
        return pa.nulls(len(values), pa.int64())
    fits = pc.less_equal(pc.abs_checked(pc.coalesce(numbers, 0)), (2**63 - 1) // per_unit)
    return pc.multiply(pc.if_else(fits, numbers, None), per_unit)


def _parsed(values: pa.Array, column: Column) -> pa.Array:
    """ISO 8601 text, with an offset or local to the declared zone, as microseconds."""
    with_offset = _text(values, _DATE_TIME + _OFFSET)
    local = _text(values, _DATE_TIME + "$")
    return pc.coalesce(
        _cast_each(with_offset, pa.timestamp("us", "UTC"), column), _cast_each(local, pa.timestamp("us"), column)
    )


def _cast_each(text: pa.Array, to: pa.DataType, column: Column) -> pa.Array:
    """Casts text to instants; a day or hour that does not exist becomes null, and not an error for its whole batch."""
    try:
        instants = pc.cast(text, to)
    except pa.ArrowInvalid:

        def one(value: pa.Scalar) -> object:
            try:
                return pc.cast(value, to).as_py()
            except pa.ArrowInvalid:
                return None

        instants = pa.array([one(value) for value in text], to)
    return _instants(instants, column)


def _instants(values: pa.Array, column: Column) -> pa.Array:
    """Timestamps as microseconds; null where a local time has no zone, does not exist, or means two instants."""
    if values.type.tz is None:
        if column.zone is None:
            return pa.nulls(len(values), pa.int64())
        early, late = (pc.assume_timezone(values, column.zone, ambiguous=which, nonexistent=which)
                       for which in ("earliest", "latest"))  # fmt: skip
        chosen = early if column.ambiguous == "earliest" else late
        existing = pc.equal(pc.local_timestamp(chosen), values)
        single = pc.equal(early, late) if column.ambiguous is None else True
        values = pc.if_else(pc.and_(existing, single), chosen, None)
    micros = pc.floor_temporal(values, unit="microsecond") if values.type.unit == "ns" else values
    return pc.cast(micros, pa.timestamp("us", "UTC"), safe=False).cast(pa.int64())
