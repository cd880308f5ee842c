from pathlib import Path

import pytest

from tests.modules.spec.shop import LIVE, refusal


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "live.features.price_mean_1h.value=colour",
            '--set: live.features.price_mean_1h.value: read "colour"; accepted: a column of type int or float: '
            "price, count, spent, bought.",
        ),
        (
            "live.features.price_mean_1h.value=prices",
            '--set: live.features.price_mean_1h.value: read "prices"; accepted: a column of type int or float: '
            "price, count, spent, bought.",
        ),
        (
            "live.features.price_mean_1h.value=at",
            '--set: live.features.price_mean_1h.value: read "at"; accepted: a column of type int or float: price, '
            "count, spent, bought.",
        ),
        (
            "live.features.price_mean_1h.scale=null",  # a float has no natural unit
            "--set: live.features.price_mean_1h.scale: read null; accepted: units per 1 (100 for an amount in "
            "cents), because price is a float.",
        ),
        (
            "live.features.price_mean_1h.scale=0",
            "--set: live.features.price_mean_1h.scale: read 0; accepted: greater than or equal to 1.",
        ),
        (
            "live.features.price_mean_1h.scale=0.01",
            "--set: live.features.price_mean_1h.scale: read 0.01; accepted: a valid integer.",
        ),
        (
            "live.features.price_mean_1h.scale=2147483649",
            "--set: live.features.price_mean_1h.scale: read 2147483649; accepted: less than or equal to 2147483648.",
        ),
        (
            "live.features.clicks_by_second_1d.scale=10",  # a whole number is its own unit
            "--set: live.features.clicks_by_second_1d.scale: read 10; accepted: nothing, because clicks is of type "
            "int.",
        ),
        (
            "live.features.orders_7d.scale=100",
            "--set: live.features.orders_7d.scale: read 100; accepted: nothing, because there is no value.",
        ),
        (
            "live.features.pages_1d.value=seconds",  # equal floats are rare
            '--set: live.features.pages_1d.value: read "seconds"; accepted: a column of type int, string or bool: '
            "visit, shopper, page, clicks, bot.",
        ),
        (
            "live.features.pages_1d.value=seen",
            '--set: live.features.pages_1d.value: read "seen"; accepted: a column of type int, string or bool: '
            "visit, shopper, page, clicks, bot.",
        ),
        (
            "live.features.pages_1d.scale=10",
            "--set: live.features.pages_1d.scale: read 10; accepted: nothing, because page is of type string.",
        ),
        (
            "live.features.clicks_by_second_1d.over=seconds",
            '--set: live.features.clicks_by_second_1d.over: read "seconds"; accepted: {value: VALUE, scale: VALUE, '
            "filter: VALUE}.",
        ),
        (
            "live.features.clicks_by_second_1d.over={value: seconds}",
            "--set: live.features.clicks_by_second_1d.over.scale: read nothing; accepted: units per 1 (100 for an "
            "amount in cents), because seconds is a float.",
        ),
        (
            "live.features.clicks_by_second_1d.over={value: page}",
            '--set: live.features.clicks_by_second_1d.over.value: read "page"; accepted: a column of type int or '
            "float: seconds, clicks.",
        ),
        (
            "live.features.clicks_by_second_1d.over={vale: clicks}",
            "--set: live.features.clicks_by_second_1d.over.vale: unknown field; accepted: value, scale, filter.",
        ),
        (
            "live.features.clicks_by_second_1d.over={scale: 2}",
            "--set: live.features.clicks_by_second_1d.over.scale: read 2; accepted: nothing, because there is no "
            "value.",
        ),
    ],
)
def test_what_cannot_be_taken_in(tmp_path: Path, override: str, message: str) -> None:
    assert refusal(tmp_path, override, text=LIVE) == message
