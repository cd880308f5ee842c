"""Lengths of time, as a declaration writes them: 500ms, 90s, 15m, 6h, 7d."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

_MICROS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_FORM = r"(0|[1-9][0-9]{0,8})(ms|s|m|h|d)"
_PATTERN = re.compile(_FORM)
_LONGEST = "36500d"


def _check(text: Any) -> Any:
    if not isinstance(text, str) or not _PATTERN.fullmatch(text) or micros(text) > micros(_LONGEST):
        raise ValueError(f"a duration such as 500ms, 90s, 15m, 6h or 7d, at most {_LONGEST}")
    return text


def _check_some(text: str) -> str:
    if micros(text) == 0:
        raise ValueError("a duration longer than 0s")
    return text


def micros(duration: str) -> int:
    """A duration in microseconds.

    >>> micros("90s")
    90000000
    """
    match = _PATTERN.fullmatch(duration)
    assert match
    return int(match[1]) * _MICROS[match[2]]


def written(micros: int) -> str:
    """Whole milliseconds, given in microseconds, as a duration in the greatest unit that divides them.

    >>> written(90_000_000), written(7_200_000_000), written(0)
    ('90s', '2h', '0s')
    """
    if micros == 0:
        return "0s"
    unit = next(unit for unit in reversed(_MICROS) if micros % _MICROS[unit] == 0)
    return f"{micros // _MICROS[unit]}{unit}"


Duration = Annotated[str, BeforeValidator(_check), Field(pattern=f"^{_FORM}$")]
"""A whole number and a unit: ms, s, m, h or d (24 hours)."""

SomeDuration = Annotated[Duration, AfterValidator(_check_some)]
"""A duration longer than 0s."""
