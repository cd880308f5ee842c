"""Lengths of time, as a declaration writes them: 500ms, 90s, 15m, 6h, 7d."""

import re
from typing import Annotated

from pydantic import AfterValidator

_MICROS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_PATTERN = re.compile(r"(0|[1-9][0-9]{0,8})(ms|s|m|h|d)")


def _check(text: str) -> str:
    if not _PATTERN.fullmatch(text):
        raise ValueError("a duration such as 90s, 15m, 6h or 7d")
    return text


Duration = Annotated[str, AfterValidator(_check)]
"""A whole number and a unit: ms, s, m, h or d (24 hours)."""


def micros(duration: str) -> int:
    """A duration in microseconds.

    >>> micros("90s")
    90000000
    """
    match = _PATTERN.fullmatch(duration)
    assert match
    return int(match[1]) * _MICROS[match[2]]
