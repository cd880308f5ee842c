import math

import pytest

from pipeline.report import numbers
from pipeline.report.labels import label, printable, shorten


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (7, "7"),
        (-7, "\u22127"),  # a true minus
        (15002, "15,002"),
        (2.523284, "2.523"),
        (41.9, "41.9"),  # no zeros at the end
        (1063.17, "1,063"),  # all of the whole part, nothing behind it
        (0.03687123, "0.03687"),
        (1.5e-7, "1.5e\u221207"),
        (1e18, "1e+18"),
        (math.nan, "undefined"),
        (-math.inf, "\u2212inf"),
    ],
)
def test_number(value: float, expected: str) -> None:
    assert numbers.number(value) == expected


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0, "0 %"),
        (0.0004, "< 0.1 %"),  # not nothing
        (0.0567, "5.7 %"),
        (0.34, "34 %"),
        (0.9996, "> 99.9 %"),  # not all
        (1, "100 %"),
        (math.nan, "undefined"),
    ],
)
def test_percent(share: float, expected: str) -> None:
    assert numbers.percent(share).replace("\u00a0", " ") == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.02, "< 0.1 s"),
        (2.57, "2.6 s"),
        (46.04, "46 s"),
        (59.7, "1 min 0 s"),
        (123.5, "2 min 4 s"),
        (3900, "1 h 5 min"),
    ],
)
def test_duration(seconds: float, expected: str) -> None:
    assert numbers.duration(seconds).replace("\u00a0", " ") == expected


def test_change_says_nothing_of_what_rounds_away() -> None:
    assert [numbers.change(value) for value in (-0.00001, 0.0123, -0.5, math.nan, math.inf)] == [
        "0", "+0.0123", "\u22120.5000", "undefined", "+inf",
    ]  # fmt: skip


def test_instants_and_run_ids() -> None:
    noon = 1357041600e6  # 2013-01-01T12:00:00Z
    assert numbers.instant(noon) == "1 Jan 2013"
    assert numbers.instant(noon, span=86_400e6 * 1000) == "Jan 2013"
    assert numbers.instant(noon, span=3600e6) == "12:00:00"
    assert numbers.instant(1e300) == "undefined"
    assert numbers.started("2026-11-21T16-03-41.108062Z") == "21 November 2026, 16:03 UTC"
    assert numbers.started("mine") == "mine"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Taxi Affiliation", "Taxi Affiliation"),
        ("", "(empty)"),
        ("  ", "'  ' (blank)"),
        ("a\u202eb", "a\\u202eb"),  # would turn the line round
        ("a\x00\nb", "a\\x00\\nb"),
        ("\U0001f469\u200d\U0001f680 \u8336", "\U0001f469\u200d\U0001f680 \u8336"),  # an emoji's joiner is no control
    ],
)
def test_printable(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_labels_have_a_length() -> None:
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde\u2026"
    assert len(label("\x00" * 10_000, 40)) == 40
