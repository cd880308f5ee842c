"""The times of requests: what training takes, and RFC 3339."""

import datetime

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import example, given

from modules.spec import Typed
from pipeline.gateway import times
from pipeline.ingest.conform import conform

SECONDS, TEXT = Typed(type="timestamp", unit="s"), Typed(type="timestamp")
MICRO = datetime.timedelta(microseconds=1)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        (0, 0),
        (1.0, 1_000_000),  # JSON knows no difference
        (-1, -1_000_000),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01z", 1_000_000),
        ("1970-01-01 01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("1970-01-01T00:00:00.1Z", 100_000),
        ("1970-01-01T00:00:00.0000019Z", 1),  # what is finer is rounded down
        ("0001-01-01T00:00:00Z", times.FIRST_MICRO),
        ("9999-12-31T23:59:59.999999Z", times.LAST_MICRO),
        (253_402_300_799, times.LAST_MICRO - 999_999),
    ],
)
def test_accepted(value: object, micros: int) -> None:
    assert times.parse(value, SECONDS) == micros


@pytest.mark.parametrize(
    "value",
    [
        0.5,  # no whole number of the unit
        True,
        None,
        float("nan"),
        float("inf"),
        253_402_300_800,  # the year 10000
        10**400,
        "0",  # a number as text
        "",
        "1970-01-01",
        "1970-01-01T00:00Z",
        "1970-01-01T00:00:00",  # no offset
        "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:60Z",
        "1970-02-30T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",  # in the year 0
        "9999-12-31T23:59:59-01:00",  # in the year 10000
        "\uff11970-01-01T00:00:00Z",  # no ASCII digit
        "1970-01-01T00:00:00Z\n",
    ],
)
def test_refused(value: object) -> None:
    assert times.parse(value, SECONDS) is None


def test_a_number_means_nothing_without_a_unit() -> None:
    assert times.parse(0, TEXT) is None
    assert times.parse("1970-01-01T00:00:00Z", TEXT) == 0
    assert "s since" in times.accepted(SECONDS)
    assert "since" not in times.accepted(TEXT)


@given(st.integers(times.FIRST_MICRO, times.LAST_MICRO))
@example(times.FIRST_MICRO)
@example(times.LAST_MICRO)
def test_a_text_means_its_time_here_and_in_training(micros: int) -> None:
    text = times.text(micros)
    assert times.parse(text, TEXT) == micros
    assert conform(pa.array([text]), TEXT, "at")[0].to_pylist() == [micros]


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["s", "ms", "us"]))
def test_a_number_is_what_it_is_in_training(count: int, unit: str) -> None:
    column = Typed.model_validate({"type": "timestamp", "unit": unit})
    assert times.parse(count, column) == conform(pa.array([count]), column, "at")[0][0].as_py()


@pytest.mark.parametrize("micros", [-(2**62), 2**62])
def test_what_no_calendar_has_is_the_end_of_it(micros: int) -> None:
    assert times.text(micros) in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z")
