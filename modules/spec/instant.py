"""Instants as people write them; as numbers they are microseconds since 1970-01-01T00:00:00Z."""

import datetime

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICRO = datetime.timedelta(microseconds=1)


def read_instant(text: str) -> int:
    """An instant as RFC 3339 and ISO 8601 write it; without an offset it is UTC.

    >>> read_instant("1970-01-01T01:00:00.000001+01:00")
    1

    Raises:
      ValueError: It is none.
    """
    time = datetime.datetime.fromisoformat(text)
    return ((time if time.tzinfo else time.replace(tzinfo=datetime.UTC)) - _EPOCH) // _MICRO


def written_instant(micros: int) -> str:
    """An instant in UTC, with as many digits as it needs.

    >>> written_instant(1_500_000)
    '1970-01-01T00:00:01.500000Z'
    """
    try:
        return (_EPOCH + micros * _MICRO).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return "before the year 1" if micros < 0 else "after the year 9999"
