"""Generators of live features, events, requests and deliveries, for hypothesis.

All events have the same columns. What is drawn is small and crowded on purpose: few keys, few times, most of them on
the edges of slots and of the ladder, so that ties, duplicates, conflicts and cut cells are common.
`tests/modules/kernel/test_strategies.py` shows that they are.
"""

import dataclasses
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from modules.kernel.plan import Condition, Entity, Feature, Source, Taking
from modules.kernel.window import Window

Row = dict[str, Any]
"""An event, or a request's columns."""

TYPES = {
    "time": pa.int64(),
    "ingest": pa.int64(),
    "id": pa.string(),
    "part": pa.float64(),
    "shop": pa.string(),
    "lane": pa.int64(),
    "member": pa.bool_(),
    "amount": pa.float64(),
    "items": pa.int64(),
    "buyer": pa.string(),
}
NUMBERS = ("count", "sum", "mean", "min", "max", "last", "stddev", "ratio")
AGGREGATIONS = (*NUMBERS, "approx_distinct")
LADDER = (1, 10, 60, 600, 3_600, 86_400)

TICKS = (1_000_000, 1_000_000, 60_000_000, 1, 7)
"""Of these, in microseconds."""
BASES = (0, -86_400, -719_162 * 86_400, 16_800 * 86_400)
"""Slots around which events lie: before 1970, in the year 1, in 2015."""
MARKS = (-3_600, -600, -599, -61, -60, -59, -10, -9, -1, 0, 1, 9, 10, 59, 60, 61, 540, 599, 600, 601, 1_200, 3_600)
"""Slots after a base: on both sides of the ladder's widths."""
AMOUNTS = (0.0, -0.0, 0.005, 0.015, 0.025, 0.5, 1.5, 2.5, -0.5, -2.5, 10.0, 1.005, -7.25, 1e-300)
"""Of these 0.005, 0.015 and so on lie between two units of a scale of 100."""
LARGE_AMOUNTS = (2.0**53 - 1, 1 - 2.0**53, (2.0**53 - 1) / 100, 2.0**21, -(2.0**22 - 2.0**-31), 1e9)
BAD_AMOUNTS = (2.0**53, -(2.0**53), 1e300, -1e308, float("inf"), float("-inf"), float("nan"))
ITEMS = (0, 1, -1, 2, 7, 10)
LARGE_ITEMS = (2**53 - 1, 1 - 2**53, (2**53 - 1) // 3)
BAD_ITEMS = (2**53, -(2**53), 2**63 - 1, -(2**63))


@dataclasses.dataclass(frozen=True)
class Case:
    """An entity, what happened, and who asks."""

    entity: Entity
    events: list[Row]
    """Also such as do not count."""
    keys: list[tuple[Any, ...]]
    """All that an event or a request can have."""
    requests: list["Request"]


@dataclasses.dataclass(frozen=True)
class Request:
    """Who asks, when, and what the request itself holds."""

    key: tuple[Any, ...]
    slot: int
    row: Row


@dataclasses.dataclass(frozen=True)
class Step:
    """One bundle of deliveries to a stream, and what its writer does."""

    events: tuple[int, ...]
    """Which of the events that count, modulo their number; also such as were delivered before."""
    lag: int
    """How many microseconds its watermark is behind what would be honest."""
    late_read: bool
    """Whether another writer changes the rows between its read and its write, which is then refused and repeated."""
    lost: int
    """Which rows are not written because the writer dies, as bits; the bundle then comes again."""
    fold: str
    """Which rows are folded: `none`, `due`, `all`."""
    look_back: int
    """How many slots the floor of a fold lies behind its watermark,"""
    snap: bool
    """and whether it is lowered to the slot of the latest request below, which is then only just answered."""


def columns(rows: list[Row]) -> dict[str, pa.Array]:
    """Rows as columns."""
    return {name: pa.array([row[name] for row in rows], kind) for name, kind in TYPES.items()}


def conditions() -> st.SearchStrategy[Condition]:
    """Of an event, each of a kind; the bounds are numbers that events have."""
    bound = st.sampled_from(["at_least", "above", "at_most", "below"])
    bounds = st.sampled_from([0.0, 0.5, 1.5, 7.0, 1e9, -0.5])
    return st.one_of(
        st.builds(
            lambda column, bounds: Condition(column, **bounds),
            st.sampled_from(["amount", "items"]),
            st.dictionaries(bound, bounds, min_size=1, max_size=2),
        ),
        st.just(Condition("member", one_of=(True,))),
        st.just(Condition("buyer", one_of=("ann", ""))),
        st.just(Condition("items", one_of=(0, 1, 2**53 - 1))),
    )


def filters() -> st.SearchStrategy[tuple[Condition, ...]]:
    """No condition, or a few."""
    return st.one_of(st.just(()), st.just(()), st.lists(conditions(), min_size=1, max_size=2).map(tuple))


def numbers() -> st.SearchStrategy[Taking]:
    """A number that is taken in."""
    return st.one_of(
        st.builds(Taking, st.just("amount"), st.sampled_from([1, 100, 100, 1000, 2**31]), filters()),
        st.builds(Taking, st.just("items"), st.sampled_from([1, 1, 3]), filters()),
    )


def themselves() -> st.SearchStrategy[Taking]:
    """The event itself."""
    return st.builds(Taking, st.none(), st.just(1), filters())


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """From 1 tick up, with the ladder's widths in any order."""
    length = draw(st.one_of(st.sampled_from([1, 2, 9, 10, 59, 60, 61, 600, 601, 3_600, 90_000]), st.integers(1, 700)))
    delay = draw(st.sampled_from([0, 0, 0, 1, 9, 10, 61, 600, 4_000]))
    width = st.sampled_from([1, 1, 1, 10, 10, 60, 600, 3_600, 86_400])
    return Window(length, delay, draw(width), draw(width))


@st.composite
def features(draw: st.DrawFn, name: str, aggregation: str | None = None) -> Feature:
    """Of any aggregation."""
    kind = aggregation or draw(st.sampled_from(AGGREGATIONS))
    over = None
    if kind == "count":
        taking = draw(themselves())
    elif kind == "approx_distinct":
        taking = Taking(draw(st.sampled_from(["buyer", "lane", "member"])), 1, draw(filters()))
    else:
        taking = draw(numbers())
    if kind == "ratio":
        taking, over = draw(st.one_of(numbers(), themselves())), draw(st.one_of(numbers(), themselves()))
    window = draw(windows())
    default = 0.0 if kind in ("count", "sum", "approx_distinct") else draw(st.sampled_from([0.0, -1.0, 0.1]))
    return Feature(name, kind, taking, over, window, default, window.delay == 0 and draw(st.booleans()))


@st.composite
def entities(draw: st.DrawFn, aggregation: str | None = None, most: int = 5) -> Entity:
    """A source and so many features of it; the source's name, key and columns are always alike."""
    count = draw(st.integers(1, most))
    chosen = tuple(draw(features(f"f{index}", aggregation if index == 0 else None)) for index in range(count))
    tick = draw(st.sampled_from(TICKS))
    takings = [t for f in chosen if f.aggregation != "approx_distinct" for t in (f.taking, f.over) if t is not None]
    source = Source(
        name="sales",
        tick=tick,
        time="time",
        ingest_time=draw(st.sampled_from(["ingest", "ingest", "ingest", None])),
        id=draw(st.sampled_from([("id",), ("id", "part"), ()])),
        lateness=draw(st.sampled_from([0, 1, 10, 59, 600, 5_000])) * tick,
        ahead=draw(st.sampled_from([0, 1, 60])) * tick,
        slack=draw(st.sampled_from([0, 0, 2, 600])) * tick,
        lookback=draw(st.sampled_from([0, 1, 60, 3_600])),
        takings=tuple(dict.fromkeys(takings)),
    )
    key = draw(st.sampled_from([("shop",), ("lane",), ("shop", "lane"), ("member",)]))
    return Entity(source, key, chosen)


def amounts(bad: bool = True) -> st.SearchStrategy[float | None]:
    """Numbers around what a scale rounds, with nulls; if wanted also such as cannot be taken in."""
    return st.one_of(
        st.sampled_from(AMOUNTS),
        st.sampled_from(AMOUNTS),
        st.sampled_from([*AMOUNTS[:6], None]),
        st.floats(-1e4, 1e4),
        st.sampled_from([*LARGE_AMOUNTS, *(BAD_AMOUNTS if bad else ())]),
    )


def item_counts(bad: bool = True) -> st.SearchStrategy[int | None]:
    """Whole numbers, likewise."""
    return st.one_of(
        st.sampled_from(ITEMS),
        st.sampled_from([*ITEMS, None]),
        st.sampled_from([*ITEMS, *LARGE_ITEMS, *(BAD_ITEMS if bad else ())]),
    )


def buyers() -> st.SearchStrategy[str | None]:
    """Names, of which one is empty, one is not ASCII, and two set the same register to different ranks."""
    return st.sampled_from(["ann", "ben", "", "Zoë", None, "ann", "buyer 10191"])


@st.composite
def events(draw: st.DrawFn, source: Source, most: int = 24) -> list[Row]:
    """Events of a source at few different times, some of them repeated, some with the id of another."""
    base = draw(st.sampled_from(BASES))
    inside = st.sampled_from([0, 0, source.tick - 1, source.tick // 2])
    mark = st.one_of(st.sampled_from(MARKS), st.integers(-700, 700))
    times = draw(st.lists(st.builds(lambda m, i: (base + m) * source.tick + i, mark, inside), min_size=1, max_size=8))
    waits = [0, 0, 1, source.lateness, source.lateness + 1, source.lateness // 2, -source.ahead, -source.ahead - 1]

    finest = max((taking.scale for taking in source.takings if taking.value == "amount"), default=1)
    near_limit = st.integers(0, 99).map(lambda less: (2**53 - 1 - less) / finest)  # their sum is no float64
    amount = draw(st.sampled_from([amounts(), amounts(), amounts(), st.one_of(near_limit, near_limit, amounts())]))

    @st.composite
    def event(draw: st.DrawFn) -> Row:
        time = draw(st.sampled_from(times))
        wait = draw(st.one_of(st.none(), st.sampled_from(waits), st.integers(0, source.lateness)))
        return {
            "time": time,
            "ingest": None if wait is None else time + wait,
            "id": draw(st.sampled_from(["1", "2", "3", "4", "5", "", None])),
            "part": draw(st.sampled_from([0.0, -0.0, 1.0, None])),
            **draw(keyed()),
            "amount": draw(amount),
            "items": draw(item_counts()),
            "buyer": draw(buyers()),
        }

    least = draw(st.integers(0, most))
    found = draw(st.lists(event(), min_size=least, max_size=least))
    if found:
        found += draw(st.lists(st.sampled_from(found), max_size=4))  # the very same again
    return found


@st.composite
def keyed(draw: st.DrawFn) -> Row:
    """The columns of which keys are made."""
    return {
        "shop": draw(st.sampled_from(["a", "a", "a", "a", "ab", None])),
        "lane": draw(st.sampled_from([1, 1, 1, 1, -(2**63), None])),
        "member": draw(st.sampled_from([True, True, True, True, False, None])),
    }


@st.composite
def requests(draw: st.DrawFn, entity: Entity, happened: list[Row]) -> Request:
    """Requests at which some event enters or leaves a window, or nearly so; most with that event's key."""
    event = draw(st.sampled_from(happened)) if happened else draw(keyed()) | {"time": 0}
    window = draw(st.sampled_from([feature.window for feature in entity.features]))
    slot = event["time"] // entity.source.tick
    enters = (slot // window.edge + 1) * window.edge + window.delay
    last = (slot // window.step + 1) * window.step + window.length  # the stop from which on the start is behind it
    leaves = -(-last // window.edge) * window.edge + window.delay
    asked = draw(st.one_of(st.sampled_from([enters, leaves, enters + 1]), st.integers(enters, leaves)))
    own = draw(st.one_of(st.just(event), st.just(event), st.just(event), keyed()))
    row = {column: own[column] for column in ("shop", "lane", "member")}
    row |= {"amount": draw(amounts(False)), "items": draw(item_counts(False)), "buyer": draw(buyers())}
    row |= dict.fromkeys(("time", "ingest", "id", "part"))
    scale = max(t.scale for f in entity.features for t in (f.taking, f.over) if t is not None)
    if row["amount"] is not None and abs(row["amount"] * scale) >= 2**53:
        row["amount"] /= scale
    if row["items"] is not None and abs(row["items"] * scale) >= 2**53:
        row["items"] = 7
    key = tuple(row[column] for column in entity.key)
    return Request(key, asked - draw(st.sampled_from([0, 0, 1])), row)


@st.composite
def cases(draw: st.DrawFn, aggregation: str | None = None, most: int = 24, features: int = 5) -> Case:
    """All of it: so many events and features at most, the first of them of the aggregation, if one is given."""
    entity = draw(entities(aggregation, features))
    happened = draw(events(entity.source, most))
    asked = draw(st.lists(requests(entity, happened), min_size=6, max_size=12))
    found = {tuple(row[column] for column in entity.key) for row in happened} | {request.key for request in asked}
    return Case(entity, happened, sorted((key for key in found if None not in key), key=repr), asked)


def steps() -> st.SearchStrategy[Step]:
    """Bundles; what they hold, when their writers die, and when rows are folded has no rule."""
    return st.builds(
        Step,
        events=st.lists(st.integers(0, 63), max_size=8).map(tuple),
        lag=st.sampled_from([0, 0, 0, 1, 10**6, 10**9, 10**12]),
        late_read=st.booleans(),
        lost=st.sampled_from([0, 0, 0, 1, 2, 3, 7]),
        fold=st.sampled_from(["none", "due", "all", "all"]),
        look_back=st.sampled_from([0, 0, 1, 10, 600, 3_600]),
        snap=st.booleans(),
    )


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How a stream is delivered: some bundles, and then all that was not merged by them."""

    steps: tuple[Step, ...]
    seed: int
    """Of the order of the rest."""
    at_once: int
    """How many of the rest come in a bundle."""


def schedules() -> st.SearchStrategy[Schedule]:
    """Any."""
    return st.builds(
        Schedule,
        steps=st.lists(steps(), min_size=1, max_size=8).map(tuple),
        seed=st.integers(0, 2**32),
        at_once=st.sampled_from([1, 3, 64]),
    )
