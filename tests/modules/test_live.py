"""What the kernel is told of a declaration."""

from pathlib import Path

import pytest

from modules.kernel.plan import Condition, Taking
from modules.kernel.window import Window
from modules.live import entities
from tests.modules.spec.shop import LIVE, load

EVENT = Taking(None, 1, ())
PEOPLE = (Condition("bot", one_of=(False,)), Condition("clicks", at_least=1.0))


def test_without_live_features_there_are_no_rows(tmp_path: Path) -> None:
    assert entities(load(tmp_path)) == ()


def test_features_of_one_source_and_key_share_their_rows(tmp_path: Path) -> None:
    another = "live.features.orders_of_colour={source: orders, key: [colour], aggregation: count, window: 1d}"
    found = {entity.name: [feature.name for feature in entity.features]
             for entity in entities(load(tmp_path, another, text=LIVE))}  # fmt: skip
    assert found == {
        "orders/shopper": ["orders_7d", "price_mean_1h", "spent_30d"],
        "visits/shopper": ["visits_1d", "pages_1d", "clicks_by_second_1d"],
        "orders/colour": ["orders_of_colour"],
    }


@pytest.mark.parametrize(
    ("name", "taking", "over", "window", "default", "include_request"),
    [
        ("orders_7d", EVENT, None, Window(604_800, 0, 3_600, 1), 0, False),
        ("price_mean_1h", Taking("price", 100, ()), None, Window(3_600, 0, 10, 1), 0, True),
        ("spent_30d", Taking("spent", 100, ()), None, Window(2_592_000, 86_400, 3_600, 600), 0, False),
        ("visits_1d", Taking(None, 1, PEOPLE), None, Window(86_400, 3_600, 600, 10), 0, False),
        ("pages_1d", Taking("page", 1, ()), None, Window(86_400, 0, 3_600, 600), 0, False),
        (
            "clicks_by_second_1d",
            Taking("clicks", 1, ()),  # whole numbers are their own unit
            Taking("seconds", 1000, ()),
            Window(86_400, 3_600, 60, 10),
            -1,
            False,
        ),
    ],
)
def test_a_feature(
    tmp_path: Path,
    name: str,
    taking: Taking,
    over: Taking | None,
    window: Window,
    default: float,
    include_request: bool,
) -> None:
    every = {feature.name: feature for entity in entities(load(tmp_path, text=LIVE)) for feature in entity.features}
    found = every[name]
    assert (found.taking, found.over, found.window) == (taking, over, window)
    assert (found.default, found.include_request) == (default, include_request)
    assert found.dtype == {"int": int, "float": float}[load(tmp_path, text=LIVE).live_features[name].dtype]


def test_a_source(tmp_path: Path) -> None:
    sources = {entity.source.name: entity.source for entity in entities(load(tmp_path, text=LIVE))}
    visits, orders = sources["visits"], sources["orders"]
    assert (visits.time, visits.ingest_time, visits.id) == ("seen", "logged", ("visit",))
    assert (visits.tick, visits.lateness, visits.ahead, visits.slack, visits.lookback) == (
        1_000_000,
        3_600_000_000,
        1_000_000,
        600_000_000,
        7_200,  # in ticks, as no other length of a source
    )
    assert set(visits.takings) == {
        Taking(None, 1, PEOPLE),
        Taking("clicks", 1, ()),
        Taking("seconds", 1000, ()),
    }
    assert orders.ingest_time is None
    assert orders.id == tuple(sorted(load(tmp_path).columns))  # all columns tell events apart


def test_the_tick_divides_windows_and_no_lateness(tmp_path: Path) -> None:
    own_grid = [f"live.features.clicks_by_second_1d.{field}=null" for field in ("step", "edge")]
    first = entities(load(tmp_path, "live.tick=500ms", *own_grid, text=LIVE))[0]
    assert (first.source.tick, first.source.lateness, first.source.lookback) == (500_000, 300_000_000, 14_400)
    assert first.features[0].window.length == 2 * 604_800
