import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from modules.spec.duration import Duration, SomeDuration, micros, written

LONGEST = 36500 * 86_400_000_000


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ("0s", 0),
        ("1ms", 1_000),
        ("500ms", 500_000),
        ("90s", 90_000_000),
        ("15m", 900_000_000),  # minutes, not months
        ("6h", 21_600_000_000),
        ("7d", 604_800_000_000),  # 24 hours each, whatever a clock does
        ("36500d", LONGEST),
    ],
)
def test_a_duration_in_microseconds(duration: str, expected: int) -> None:
    assert TypeAdapter(Duration).validate_python(duration) == duration
    assert micros(duration) == expected


@pytest.mark.parametrize(
    "written",
    ["", "7", 7, 7.5, True, None, ["7d"], "d", "7 d", " 7d", "7d\n", "07d", "-7d", "+7d", "1.5h", "7D", "1w", "1y",
     "10us", "1d12h", "P7D", "\u0667d", "36501d", "876001h", "1000000000s"],
)  # fmt: skip
def test_what_is_no_duration(written: object) -> None:
    with pytest.raises(ValidationError, match="a duration such as 500ms, 90s, 15m, 6h or 7d, at most 36500d"):
        TypeAdapter(Duration).validate_python(written)


@pytest.mark.parametrize("written", ["0ms", "0s", "0d"])
def test_some_duration_is_longer_than_nothing(written: str) -> None:
    assert TypeAdapter(Duration).validate_python(written) == written
    with pytest.raises(ValidationError, match="a duration longer than 0s"):
        TypeAdapter(SomeDuration).validate_python(written)


@given(st.integers(0, 999_999_999), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_what_is_written_means_the_same_and_is_no_longer(count: int, unit: str) -> None:
    duration = f"{count}{unit}"
    assert micros(written(micros(duration))) == micros(duration)
    assert len(written(micros(duration))) <= len(duration)
