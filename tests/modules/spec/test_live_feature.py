import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.kernel.window import Window
from modules.spec import Column, LiveFeature
from modules.spec.ladder import LADDER
from modules.spec.transforms import Log
from tests.modules.spec.shop import LIVE, load, refusal


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "live.features.orders_7d=count",
            '--set: live.features.orders_7d: read "count"; accepted: {source: VALUE, key: VALUE, aggregation: VALUE, '
            "window: VALUE}.",
        ),
        (
            "live.features.orders_7d.sources=orders",
            "--set: live.features.orders_7d.sources: unknown field; accepted: value, scale, filter, description, "
            "source, key, aggregation, over, window, delay, include_request, default, step, edge, transform.",
        ),
        (
            "live.features.orders_7d.aggregation=median",
            "--set: live.features.orders_7d.aggregation: read \"median\"; accepted: 'count', 'sum', 'mean', 'min', "
            "'max', 'last', 'stddev', 'approx_distinct' or 'ratio'.",
        ),
        (
            "live.features.orders_7d.key=shopper",
            '--set: live.features.orders_7d.key: read "shopper"; accepted: a list.',
        ),
        (
            "live.features.orders_7d.key=[]",
            "--set: live.features.orders_7d.key: read []; accepted: at least one entry.",
        ),
        (
            "live.features.orders_7d.key=[shopper, shopper]",
            '--set: live.features.orders_7d.key: read ["shopper", "shopper"]; accepted: each column once.',
        ),
        (
            "live.features.orders_7d.key=[price]",  # equal floats are rare
            '--set: live.features.orders_7d.key.0: read "price"; accepted: a column of type int, string or bool that '
            "events and requests share: count, colour, gift, shopper.",
        ),
        (
            "live.features.orders_7d.key=[shopper, at]",
            '--set: live.features.orders_7d.key.1: read "at"; accepted: a column of type int, string or bool that '
            "events and requests share: count, colour, gift, shopper.",
        ),
        (
            "live.features.orders_7d.key=[note]",  # ignored: a request does not carry it
            '--set: live.features.orders_7d.key.0: read "note"; accepted: a column of type int, string or bool that '
            "events and requests share: count, colour, gift, shopper.",
        ),
        (
            "live.features.orders_7d.key=[bought]",  # the label
            '--set: live.features.orders_7d.key.0: read "bought"; accepted: a column of type int, string or bool '
            "that events and requests share: count, colour, gift, shopper.",
        ),
        (
            "live.features.visits_1d.key=[page]",
            '--set: live.features.visits_1d.key.0: read "page"; accepted: a column of type int, string or bool that '
            "events and requests share: shopper.",
        ),
        (
            "live.features.orders_7d.value=price",
            '--set: live.features.orders_7d.value: read "price"; accepted: nothing, because count counts events; '
            "filter says which.",
        ),
        (
            "live.features.price_mean_1h.value=null",
            "--set: live.features.price_mean_1h.value: read null; accepted: the column that mean is computed from.",
        ),
        (
            "live.features.pages_1d.value=null",
            "--set: live.features.pages_1d.value: read null; accepted: the column that approx_distinct is computed "
            "from.",
        ),
        (
            "live.features.orders_7d.over={}",
            "--set: live.features.orders_7d.over: read {}; accepted: nothing, because only ratio divides, not count.",
        ),
        (
            "live.features.clicks_by_second_1d.over=null",
            "--set: live.features.clicks_by_second_1d.over: read null; accepted: what the sum is divided by: {value: "
            "COLUMN, scale: UNITS}, or {} for all events.",
        ),
        (
            "live.features.orders_7d.default=0",
            "--set: live.features.orders_7d.default: read 0; accepted: nothing, because count is 0 where there are "
            "no events.",
        ),
        (
            "live.features.price_mean_1h.default=null",
            "--set: live.features.price_mean_1h.default: read null; accepted: a number: the value of mean where "
            "there is nothing to compute it from.",
        ),
        (
            "live.features.price_mean_1h.default=none",
            '--set: live.features.price_mean_1h.default: read "none"; accepted: a valid number.',
        ),
        (
            "live.features.price_mean_1h.default=1e39",  # float32 has no such number
            "--set: live.features.price_mean_1h.default: read 1e+39; accepted: a number whose size is at most "
            "3.4028234663852886e+38.",
        ),
        (
            "live.features.orders_7d.window=0s",
            '--set: live.features.orders_7d.window: read "0s"; accepted: a duration longer than 0s.',
        ),
        (
            "live.features.orders_7d.window=7",
            "--set: live.features.orders_7d.window: read 7; accepted: a duration such as 500ms, 90s, 15m, 6h or 7d, "
            "at most 36500d.",
        ),
        (
            "live.features.orders_7d.delay=1d 2h",
            '--set: live.features.orders_7d.delay: read "1d 2h"; accepted: a duration such as 500ms, 90s, 15m, 6h or '
            "7d, at most 36500d.",
        ),
        (
            "live.features.price_mean_1h.delay=1s",
            "features.yaml:47: live.features.price_mean_1h.include_request: read true; accepted: false with a delay, "
            "because the request's own event has no age.",
        ),
        (
            "live.features.price_mean_1h.value=spent",
            "features.yaml:47: live.features.price_mean_1h.include_request: read true; accepted: false, because "
            "requests do not carry spent (role feature or key, type float).",
        ),
        (
            "live.features.clicks_by_second_1d.transform={name: hash, buckets: 4}",
            '--set: live.features.clicks_by_second_1d.transform: read {"name": "hash", "buckets": 4}; accepted: '
            "scale, log, passthrough or bucketise for a float, not hash.",
        ),
        (
            "live.features.clicks_by_second_1d.transform={name: hsh}",
            '--set: live.features.clicks_by_second_1d.transform: read {"name": "hsh"}; accepted: a mapping with '
            "name: one of scale, log, passthrough, one_hot, identity, bucketise, vocabulary, hash.",
        ),
        (
            "live.features.visits_1d.transform=log",
            '--set: live.features.visits_1d.transform: read "log"; accepted: a mapping with name: one of scale, log, '
            "passthrough, one_hot, identity, bucketise, vocabulary, hash.",
        ),
        (
            "live.features.orders_7d.step=2m",
            '--set: live.features.orders_7d.step: read "2m"; accepted: one of 1s, 10s, 1m, 10m, 1h, 1d.',
        ),
        (
            "live.features.orders_7d.step=100ms",
            '--set: live.features.orders_7d.step: read "100ms"; accepted: one of 1s, 10s, 1m, 10m, 1h, 1d.',
        ),
        (
            "live.features.orders_7d.edge=0s",
            '--set: live.features.orders_7d.edge: read "0s"; accepted: one of 1s, 10s, 1m, 10m, 1h, 1d.',
        ),
        (
            "live.features.price_mean_1h.step=1d",  # from 1 to 25 hours would be looked back on
            '--set: live.features.price_mean_1h.step: read "1d"; accepted: at most the window, 1h.',
        ),
        (
            "live.features.price_mean_1h.edge=1d",  # most events would never be seen
            '--set: live.features.price_mean_1h.edge: read "1d"; accepted: at most the window, 1h.',
        ),
        (
            "live.features.clicks_by_second_1d.window=50s",
            'features.yaml:69: live.features.clicks_by_second_1d.step: read "1m"; accepted: at most the window, 50s.',
        ),
        (
            "live.features.spent_30d.window=1m",  # a long delay has a coarse edge
            '--set: live.features.spent_30d.window: read "1m"; accepted: at least 10m, as finely as the near edge '
            "moves; or set edge too.",
        ),
        (
            "live.features.spent_30d.delay=4m",  # training would see what serving cannot know yet
            '--set: live.features.spent_30d.delay: read "4m"; accepted: at least the source\'s lateness, 5m, because '
            "spent has role: label, so it is known only later.",
        ),
        (
            "live.features.orders_7d.filter=[{column: bought, one_of: [1]}]",
            "features.yaml:39: live.features.orders_7d.delay: read nothing; accepted: at least the source's "
            "lateness, 5m, because bought has role: label, so it is known only later.",
        ),
    ],
)
def test_what_a_live_feature_refuses(tmp_path: Path, override: str, message: str) -> None:
    assert refusal(tmp_path, override, text=LIVE) == message


@pytest.mark.parametrize(
    ("feature", "ticks"),
    [
        ({"window": "1s"}, (1, 0, 1, 1)),
        ({"window": "1000s"}, (1000, 0, 1, 1)),  # exact up to 1000 ticks
        ({"window": "1001s"}, (1001, 0, 10, 1)),
        ({"window": "1h"}, (3600, 0, 10, 1)),
        ({"window": "1d"}, (86400, 0, 600, 1)),
        ({"window": "7d"}, (604800, 0, 3600, 1)),
        ({"window": "30d"}, (2592000, 0, 3600, 1)),
        ({"window": "365d"}, (31536000, 0, 86400, 1)),
        ({"window": "36500d"}, (3153600000, 0, 86400, 1)),  # the ladder's last
        ({"window": "7d", "delay": "1000s"}, (604800, 1000, 3600, 1)),
        ({"window": "7d", "delay": "1001s"}, (604800, 1001, 3600, 10)),
        ({"window": "7d", "delay": "1d"}, (604800, 86400, 3600, 600)),
        ({"window": "7d", "step": "1s"}, (604800, 0, 1, 1)),  # exact, because it is said
        ({"window": "7d", "edge": "1h"}, (604800, 0, 3600, 3600)),
        ({"window": "7d", "step": "1m", "edge": "1h"}, (604800, 0, 60, 3600)),
        ({"window": "30s", "aggregation": "approx_distinct"}, (30, 0, 1, 1)),  # a 30th
        ({"window": "1d", "aggregation": "approx_distinct"}, (86400, 0, 3600, 600)),  # the near edge goes by it too
        ({"window": "1h", "delay": "1d", "aggregation": "approx_distinct"}, (3600, 86400, 600, 600)),
    ],
)
def test_what_step_and_edge_are_by_default(feature: dict[str, str], ticks: tuple[int, int, int, int]) -> None:
    said = {"source": "orders", "key": ["shopper"], "aggregation": "count"} | feature
    if said["aggregation"] == "approx_distinct":
        said["value"] = "colour"
    assert LiveFeature.model_validate_json(json.dumps(said)).ticks(1_000_000) == ticks


def test_a_tick_is_what_windows_count_in() -> None:
    assert _feature(window="1h", delay="10m").ticks(60_000_000) == (60, 10, 1, 1)
    assert _feature(window="1h", delay="10m", step="10m").ticks(60_000_000) == (60, 10, 10, 1)


@given(
    slot=st.integers(-(10**10), 10**10),
    window=st.integers(1, 10**7),
    delay=st.integers(0, 10**6),
    step=st.sampled_from(LADDER),
    edge=st.sampled_from(LADDER),
)
def test_what_a_request_sees_is_what_the_kernel_shows_it(
    slot: int, window: int, delay: int, step: int, edge: int
) -> None:
    feature = _feature(window=f"{window}s", delay=f"{delay}s", step=f"{step}s", edge=f"{edge}s")
    start, stop = Window(*feature.ticks(1_000_000)).edges(np.array([slot]))
    assert feature.sees(slot, 1_000_000) == (start[0], stop[0])
    assert window <= stop[0] - start[0] < window + step
    assert delay <= slot - stop[0] < delay + edge


def _feature(**fields: str) -> LiveFeature:
    return LiveFeature(source="orders", key=("shopper",), aggregation="count", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "dtype", "value"),
    [
        ("orders_7d", "int", 0),
        ("pages_1d", "int", 0),
        ("spent_30d", "float", 0),  # also of whole numbers: a sum may leave int64
        ("price_mean_1h", "float", 0),
        ("clicks_by_second_1d", "float", -1),
    ],
)
def test_what_a_feature_is_where_there_are_no_events(tmp_path: Path, name: str, dtype: str, value: float) -> None:
    feature = load(tmp_path, text=LIVE).live_features[name]
    assert (feature.dtype, feature.value_when_empty) == (dtype, value)


def test_a_live_feature_is_a_column_that_every_row_has(tmp_path: Path) -> None:
    features = load(tmp_path, text=LIVE).live_features
    assert features["visits_1d"].column == Column(type="int", role="feature", transform=Log(name="log"))
    assert not features["price_mean_1h"].column.optional


def test_what_is_accepted_on_purpose(tmp_path: Path) -> None:
    features = load(
        tmp_path,
        "live.features.orders_7d.key=[colour, gift]",  # several columns, features of the request
        "live.features.orders_7d.include_request=true",
        "live.features.orders_7d.filter=[{column: price, above: 5}]",
        "live.features.orders_7d.transform={name: vocabulary, top: 5}",  # whole numbers have categories
        "live.features.spent_30d.delay=5m",  # at the lateness is late enough for the label
        "live.features.visits_1d.delay=0s",  # below the lateness: nothing is promised, and no label is read
        "live.features.pages_1d.value=clicks",  # whole numbers differ too
        "live.features.pages_1d.filter=[{column: bot, one_of: [false]}]",
        "live.features.clicks_by_second_1d.over={}",  # by the events
        "live.features.clicks_by_second_1d.value=null",
        text=LIVE,
    ).live_features
    assert features["orders_7d"].key == ("colour", "gift")
    assert features["clicks_by_second_1d"].over is not None
