"""The times of requests: as they are given, as microseconds since 1970-01-01T00:00:00Z, and as text."""

import datetime
import re

from modules.spec import Typed

FIRST_MICRO, LAST_MICRO = -62_135_596_800_000_000, 253_402_300_799_999_999
"""0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICRO = datetime.timedelta(microseconds=1)
_PER_UNIT = {"s": 1_000_000, "ms": 1_000, "us": 1}
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?[0-9]*([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def accepted(column: Typed) -> str:
    """What a time of this column may be, in words."""
    text = "RFC 3339 text with an offset, such as 2016-03-01T09:30:00Z, of the years 1 to 9999"
    return f"a whole number of {column.unit} since 1970-01-01T00:00:00Z, or {text}" if column.unit else text


def parse(value: object, column: Typed) -> int | None:
    """A time in microseconds, what is finer rounded down; None where it is not accepted."""
    if isinstance(value, str):
        return _parse_text(value)
    if column.unit is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    micros = int(value) * _PER_UNIT[column.unit]
    return micros if FIRST_MICRO <= micros <= LAST_MICRO else None


def _parse_text(text: str) -> int | None:
    if not _RFC_3339.fullmatch(text):
        return None
    try:
        micros = (datetime.datetime.fromisoformat(text.upper()) - _EPOCH) // _MICRO
    except (ValueError, OverflowError):
        return None
    return micros if FIRST_MICRO <= micros <= LAST_MICRO else None


def text(micros: int) -> str:
    """RFC 3339, in UTC; a time outside the years 1 to 9999 as their end."""
    time = _EPOCH + datetime.timedelta(microseconds=min(max(micros, FIRST_MICRO), LAST_MICRO))
    return time.isoformat().replace("+00:00", "Z")
