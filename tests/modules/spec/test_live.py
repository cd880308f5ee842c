"""The live section as a whole: what it refuses and where, what it adds to the declaration, and its fingerprint."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from modules.spec import Declaration, DeclarationError, Live, Typed
from tests.modules.spec.shop import LIVE, SHOP, load, refusal


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "live=5",
            "--set: live: read 5; accepted: {sources: VALUE, features: VALUE}.",
        ),
        (
            "live={}",
            "--set: live: the field sources is missing; accepted: sources: VALUE.\n--set: live: the field features is "
            "missing; accepted: features: VALUE.",
        ),
        (
            "live.tik=1s",
            "--set: live.tik: unknown field; accepted: tick, lookback, sources, features.",
        ),
        (
            "live.tick=0s",
            '--set: live.tick: read "0s"; accepted: a duration longer than 0s.',
        ),
        (
            "live.tick=1",
            "--set: live.tick: read 1; accepted: a duration such as 500ms, 90s, 15m, 6h or 7d, at most 36500d.",
        ),
        (
            "live.tick=40000d",
            '--set: live.tick: read "40000d"; accepted: a duration such as 500ms, 90s, 15m, 6h or 7d, at most 36500d.',
        ),
        (
            "live.tick=7s",
            'features.yaml:17: live.lookback: read "2h"; accepted: whole ticks of 7s, which 2h is not.',
        ),
        (
            "live.lookback=1500ms",
            '--set: live.lookback: read "1500ms"; accepted: whole ticks of 1s, which 1500ms is not.',
        ),
        (
            "live.sources={}",
            "--set: live.sources: read {}; accepted: at least one entry.",
        ),
        (
            "live.features={}",
            "--set: live.features: read {}; accepted: at least one entry.",
        ),
        (
            "live.sources.orders.lateness=1ms",
            '--set: live.sources.orders.lateness: read "1ms"; accepted: whole ticks of 1s, which 1ms is not.',
        ),
        (
            "live.sources.visits.slack=500ms",
            '--set: live.sources.visits.slack: read "500ms"; accepted: whole ticks of 1s, which 500ms is not.',
        ),
        (
            "live.features.orders_7d.window=100ms",
            '--set: live.features.orders_7d.window: read "100ms"; accepted: whole ticks of 1s, which 100ms is not.',
        ),
        (
            "live.features.orders_7d.delay=100ms",
            '--set: live.features.orders_7d.delay: read "100ms"; accepted: whole ticks of 1s, which 100ms is not.',
        ),
        (
            "live.features.orders_7d.source=order",
            '--set: live.features.orders_7d.source: read "order"; accepted: one of orders, visits.',
        ),
        (
            "live.sources.returns={time: at, lateness: 5m}",  # its rows would never be asked for
            '--set: live.sources.returns: read {"time": "at", "lateness": "5m"}; accepted: a source that a feature '
            "names; leave out the others.",
        ),
        (
            "live.sources.our visits={time: at, lateness: 5m}",
            '--set: live.sources.our visits: read {"time": "at", "lateness": "5m"}; accepted: a name of letters, '
            "digits and underscores, because it is part of where its rows are.",
        ),
        (
            "live.features.price={source: orders, key: [shopper], aggregation: count, window: 7d}",
            '--set: live.features.price: read {"source": "orders", "key": ["shopper"], "aggregation": "count", '
            '"window": "7d"}; accepted: another name than price, which is a column.',
        ),
        (
            "live.features.note={source: orders, key: [shopper], aggregation: count, window: 7d}",
            '--set: live.features.note: read {"source": "orders", "key": ["shopper"], "aggregation": "count", '
            '"window": "7d"}; accepted: another name than note, which is a column.',
        ),
        (
            "live.features.row_id={source: orders, key: [shopper], aggregation: count, window: 7d}",
            '--set: live.features.row_id: read {"source": "orders", "key": ["shopper"], "aggregation": "count", '
            '"window": "7d"}; accepted: another name than row_id, which is the row\'s identity.',
        ),
        (
            "live.features.price_present={source: orders, key: [shopper], aggregation: count, window: 7d}",
            '--set: live.features.price_present: read {"source": "orders", "key": ["shopper"], "aggregation": '
            '"count", "window": "7d"}; accepted: another name than price_present, which is the presence of price.',
        ),
        (
            "live.features.orders_7d_present={source: orders, key: [shopper], aggregation: count, window: 7d}",
            '--set: live.features.orders_7d_present: read {"source": "orders", "key": ["shopper"], "aggregation": '
            '"count", "window": "7d"}; accepted: another name than orders_7d_present, which is the presence of '
            "orders_7d.",
        ),
        (
            "live.features.7d={source: orders, key: [shopper], aggregation: count, window: 7d}",
            '--set: live.features.7d: read {"source": "orders", "key": ["shopper"], "aggregation": "count", '
            '"window": "7d"}; accepted: a name of letters, digits and underscores, because it names a model input.',
        ),
        (
            "live.features.Käufe={source: orders, key: [shopper], aggregation: count, window: 7d}",
            '--set: live.features.Käufe: read {"source": "orders", "key": ["shopper"], "aggregation": "count", '
            '"window": "7d"}; accepted: a name of letters, digits and underscores, because it names a model input.',
        ),
    ],
)
def test_what_the_live_section_refuses(tmp_path: Path, override: str, message: str) -> None:
    assert refusal(tmp_path, override, text=LIVE) == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "time: at, lateness: 5m",
            "time: price, lateness: 5m",
            'features.yaml:19: live.sources.orders.time: read "price"; accepted: a column of type timestamp: at.',
        ),
        (
            "      value: clicks\n",
            "      value: page\n",
            'features.yaml:64: live.features.clicks_by_second_1d.value: read "page"; '
            "accepted: a column of type int or float: seconds, clicks.",
        ),
        (
            "scale: 1000}",
            "scale: 1000, filter: [{column: clicks, above: 1}, {column: clik, above: 1}]}",
            'features.yaml:65: live.features.clicks_by_second_1d.over.filter.1.column: read "clik"; '
            "accepted: a column of type int, float, string or bool: visit, shopper, page, seconds, clicks, bot.",
        ),
        (
            "      scale: 100\n",
            "",  # what is not there has no line: its section has
            "features.yaml:40: live.features.price_mean_1h.scale: read nothing; "
            "accepted: units per 1 (100 for an amount in cents), because price is a float.",
        ),
        (
            "      default: -1\n",
            "",
            "features.yaml:60: live.features.clicks_by_second_1d.default: read nothing; "
            "accepted: a number: the value of ratio where there is nothing to compute it from.",
        ),
        (
            "window: 30d, delay: 1d}",
            "window: 30d}",
            "features.yaml:49: live.features.spent_30d.delay: read nothing; accepted: at least the source's lateness, "
            "5m, because spent has role: label, so it is known only later.",
        ),
        (
            "      batch: visits.parquet\n",
            "",
            "features.yaml:20: live.sources.visits.batch: read nothing; "
            "accepted: where the history is, because the source has columns of its own.",
        ),
        (
            "  lookback: 2h\n",
            "  tick: 7m\n",
            "features.yaml:16: live.lookback: read nothing; accepted: whole ticks of 7m, which 1h is not.",
        ),
    ],
)
def test_an_error_is_told_at_its_own_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert LIVE.count(old) == 1
    assert refusal(tmp_path, text=LIVE.replace(old, new)) == message


def test_live_features_need_a_time(tmp_path: Path) -> None:
    text = LIVE.replace("role: time}", "role: key}").replace("by: time", "by: hash, key: shopper")
    message = refusal(tmp_path, text=text)
    assert message.startswith('features.yaml:16: live: read {"lookback": "2h", ')
    assert message.endswith(
        "...; accepted: a column with role: time beside it, because live features are computed as of it."
    )


def test_a_key_may_not_have_a_comma_in_its_name(tmp_path: Path) -> None:
    """The names of the rows join the key's columns with commas."""
    column = "columns.a,b={type: int, role: key}"
    message = refusal(tmp_path, column, "live.features.orders_7d.key=['a,b']", text=LIVE)
    assert message == (
        '--set: live.features.orders_7d.key.0: read "a,b"; '
        "accepted: a column of type int, string or bool that events and requests share: count, colour, gift, shopper."
    )


def test_live_features_are_model_inputs_after_those_of_the_request(tmp_path: Path) -> None:
    declaration = load(tmp_path, text=LIVE)
    own, live = load(tmp_path).features, declaration.live_features
    assert list(declaration.features) == [*own, *live]
    assert list(live) == ["orders_7d", "price_mean_1h", "spent_30d", "visits_1d", "pages_1d", "clicks_by_second_1d"]
    assert {name: declaration.features[name] for name in live} == {name: live[name].column for name in live}


def test_without_a_live_section_there_is_nothing_live(tmp_path: Path) -> None:
    declaration = load(tmp_path)
    assert (declaration.live, declaration.live_features, declaration.features_fingerprint) == (None, {}, "")
    assert load(tmp_path, "live=null", text=LIVE) == declaration


def test_the_columns_of_a_source_are_its_own_or_the_datasets(tmp_path: Path) -> None:
    declaration = load(tmp_path, text=LIVE)
    live = _live(declaration)
    assert list(live.columns("visits", declaration.columns))[:3] == ["seen", "logged", "visit"]
    orders = live.columns("orders", declaration.columns)
    assert list(orders) == list(declaration.columns)  # ignored ones and the label too
    assert orders["at"] == Typed(type="timestamp", unit="s")
    assert not orders["price"].becomes_float32  # an event may hold more than an example


@pytest.mark.parametrize(
    ("name", "spare"),
    [
        ("orders_7d", None),  # counts at once what may come 5 minutes late
        ("spent_30d", (24 * 60 - 5) * 60_000_000),
        ("visits_1d", 0),
    ],
)
def test_how_far_the_stream_may_lag(tmp_path: Path, name: str, spare: int | None) -> None:
    assert _live(load(tmp_path, text=LIVE)).may_lag(name) == spare


SAME = [
    ("live.features.visits_1d.description=Visits.", "for people"),
    ("live.features.price_mean_1h.default=5", "filled in when a row is read"),
    ("live.features.visits_1d.transform={name: scale}", "what the model makes of it"),
    ("live.sources.visits.stream=file:///tmp/visits", "a place"),
    ("live.sources.visits.batch=visits.csv", "a place"),
    ("live.sources.visits.slack=1h", "when slots close moves no value"),
    ("live.lookback=1d", "which requests are answered, not how"),
    ("live.tick=1000ms", "another way to write it"),
    ("live.features.orders_7d.window=168h", "another way to write it"),
    ("live.features.orders_7d.step=1h", "a default said aloud"),
    ("live.sources.visits.columns.extra={type: int}", "nothing reads it"),
    ("data=other.csv", "a place"),
    ("columns.price.transform={name: log}", "the request's own feature"),
    ("columns.gift={type: bool, role: key}", "roles are the request's"),
    ("training.seed=2", "the model's"),
    ("evaluation.slices=[gift]", "the model's"),
]
OTHER = [
    ("dataset=shop2", "two datasets in one store do not mix"),
    ("live.sources.orders.lateness=6m", "other events count"),
    ("live.sources.orders.ahead=1s", "other events count"),
    ("live.sources.visits.ingest_time=null", "other events count"),
    ("live.sources.visits.time=logged", "events are elsewhere in time"),
    ("live.sources.visits.id=[visit, page]", "other events are equal"),
    ("live.sources.visits.id=null", "other events are equal"),
    ("live.sources.visits.columns.seen.unit=s", "events are read otherwise"),
    ("live.sources.visits.columns.visit={type: int}", "events are read otherwise"),
    ("columns.note={type: int, role: ignored}", "the dataset's events are read otherwise"),
    ("columns.extra={type: int, role: ignored}", "it tells the dataset's events apart"),
    ("live.features.orders_7d.key=[colour]", "other rows"),
    ("live.features.orders_7d.key=[shopper, colour]", "other rows"),
    ("live.features.price_mean_1h.aggregation=max", "other values"),
    ("live.features.price_mean_1h.scale=1000", "other units"),
    ("live.features.price_mean_1h.include_request=false", "other values"),
    ("live.features.orders_7d.window=8d", "other values"),
    ("live.features.orders_7d.delay=1s", "other values"),
    ("live.features.orders_7d.step=1m", "other values"),
    ("live.features.orders_7d.edge=10s", "other values"),
    ("live.features.visits_1d.filter=[{column: bot, one_of: [true]}]", "other values"),
    ("live.features.clicks_by_second_1d.over={}", "other values"),
    ("live.features.new={source: orders, key: [shopper], aggregation: count, window: 1h}", "rows hold more"),
]


@pytest.mark.parametrize(("override", "why"), SAME)
def test_what_the_fingerprint_of_the_live_features_leaves_out(tmp_path: Path, override: str, why: str) -> None:
    before, after = load(tmp_path, text=LIVE), load(tmp_path, override, text=LIVE)
    assert after.features_fingerprint == before.features_fingerprint, why
    assert after.fingerprint != before.fingerprint  # provenance keeps everything


@pytest.mark.parametrize(("override", "why"), OTHER)
def test_what_changes_the_fingerprint_of_the_live_features(tmp_path: Path, override: str, why: str) -> None:
    before, after = load(tmp_path, text=LIVE), load(tmp_path, override, text=LIVE)
    assert after.features_fingerprint != before.features_fingerprint, why
    assert after.fingerprint != before.fingerprint


def test_the_tick_changes_the_fingerprint_although_all_lengths_are_the_same(tmp_path: Path) -> None:
    own_grid = [f"live.features.clicks_by_second_1d.{field}=null" for field in ("step", "edge")]
    seconds, halves = (load(tmp_path, f"live.tick={tick}", *own_grid, text=LIVE) for tick in ("1s", "500ms"))
    assert seconds.features_fingerprint != halves.features_fingerprint


def test_the_order_of_features_does_not_change_the_fingerprint(tmp_path: Path) -> None:
    line = next(line for line in LIVE.splitlines() if line.startswith("    orders_7d:")) + "\n"
    text = LIVE.replace(line, "") + line
    moved, before = load(tmp_path, text=text), load(tmp_path, text=LIVE)
    assert list(moved.live_features) != list(before.live_features)
    assert moved.features_fingerprint == before.features_fingerprint


def test_this_fingerprint_is_kept_from_release_to_release(tmp_path: Path) -> None:
    """If this fails, every online row is abandoned: raise SEMANTICS if that is what is wanted, and say so."""
    assert (
        load(tmp_path, text=LIVE).features_fingerprint
        == "42d5336c67cdb24ec896b46760113710c28a7819fd36091e3d01279dfbd65dc5"
    )


ONLY = [
    "live.features.visits_1d.description=Visits.",
    "live.sources.visits.stream=file:///tmp/visits",
    "live.sources.visits.slack=1h",
    "live.lookback=1d",
]


@pytest.mark.parametrize("override", ONLY)
def test_only_forgets_what_makes_no_example(tmp_path: Path, override: str) -> None:
    before, after = load(tmp_path, text=LIVE), load(tmp_path, override, text=LIVE)
    assert before.only() == after.only()
    assert before.only("live") != after.only("live")
    assert after.only("live").live == after.live


@pytest.mark.parametrize("override", [*(override for override, _ in OTHER), "live.features.price_mean_1h.default=5",
                                      "live.features.visits_1d.transform={name: scale}",
                                      "live.sources.visits.batch=visits.csv"])  # fmt: skip
def test_only_keeps_what_makes_the_examples(tmp_path: Path, override: str) -> None:
    assert load(tmp_path, text=LIVE).only() != load(tmp_path, override, text=LIVE).only()


def test_a_component_reads_back_what_it_is_given(tmp_path: Path) -> None:
    declaration = load(tmp_path, text=LIVE)
    assert declaration.features  # what is cached is not handed on
    for given in (declaration, declaration.only(), declaration.only("live")):
        assert Declaration.model_validate_json(given.model_dump_json()) == given
        assert given.features_fingerprint == declaration.features_fingerprint
    assert declaration.only().live_features["visits_1d"].description == ""
    assert load(tmp_path, text=SHOP).only().live is None


def _live(declaration: Declaration) -> Live:
    assert declaration.live
    return declaration.live


def _fields(section: dict[str, Any], *above: str) -> list[str]:
    """Every field of a section and of those inside, by its whole name."""
    found = []
    for name, value in section.items():
        found.append(".".join((*above, name)))
        found += _fields(value, *above, name) if isinstance(value, dict) else []
    return found


@pytest.mark.parametrize("field", _fields(yaml.safe_load(LIVE)["live"], "live"))
def test_whatever_a_field_holds_it_is_read_or_refused(tmp_path: Path, field: str) -> None:
    junk: list[Any] = ["1d", [{"column": []}], {"name": []}]
    for value in junk:
        with contextlib.suppress(DeclarationError):
            load(tmp_path, f"{field}={json.dumps(value)}", text=LIVE)
