"""An explanation gives the answer's own bits, and its parts are what the oracle finds one event after the other."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.kernel import explain
from modules.kernel.explain import AFTER, DELAY, EDGE, FILTERED, IN, NULL, OLD, OWN_TICK, REPEATED
from modules.kernel.plan import Condition, Entity, Feature, Source, Taking
from modules.kernel.take import take
from modules.kernel.window import Window
from tests import strategies
from tests.modules.kernel import oracle
from tests.modules.kernel.paths import assert_same, by_batch, counting, key_of
from tests.modules.kernel.test_same_bits import same_each_time
from tests.strategies import AGGREGATIONS, Case, Request, Row, columns


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@settings(same_each_time, max_examples=5)
@given(data=st.data())
def test_an_explanation_is_the_answer_bit_for_bit(aggregation: str, data: st.DataObject) -> None:
    case = data.draw(strategies.cases(aggregation))
    expected = by_batch(case)
    feature = case.entity.features[0]
    for at, request in enumerate(case.requests[:4]):
        explained = _explain(case, feature, request)
        assert_same({feature.name: explained.answer}, {feature.name: expected[feature.name]}, [at])
        assert (explained.start, explained.stop) == oracle.first_and_end(feature.window, request.slot)
        _parts_are_right(case, feature, request, explained)


def _explain(case: Case, feature: Feature, request: Request) -> explain.Explained:
    events = take(case.entity.source, columns(_of_key(case, request)))
    return explain.explain(case.entity, feature, events, None not in request.key, request.slot, columns([request.row]))


def _of_key(case: Case, request: Request) -> list[Row]:
    """The events of a request's key that count."""
    return [] if None in request.key else [e for e in counting(case) if key_of(case.entity, e) == request.key]


def _parts_are_right(case: Case, feature: Feature, request: Request, explained: explain.Explained) -> None:
    """Which events are in, and what they add up to."""
    entity, mine = case.entity, _of_key(case, request)
    takings = explain.takings(feature)
    seen = [
        event
        for event in oracle.distinct(entity, mine, None if None in request.key else request.key)
        if explained.start <= oracle.slot(event["time"], entity.source.tick) < explained.stop
    ]
    inside = [event for event in seen if any(_taken(feature, taking, event) is not None for taking in takings)]
    found = [event for event, fate in zip(mine, explained.fates, strict=True) if fate == IN]
    assert sorted(map(repr, found)) == sorted(map(repr, inside))
    if feature.include_request and None not in request.key:
        seen.append(request.row | {"time": None})
    for taking, sums in zip(takings, explained.held.sums, strict=True):
        numbers = [value for event in seen if (value := _taken(feature, taking, event)) is not None]
        for part, total in sums.items():
            if part in ("count", "sum", "squares", "min", "max"):
                assert total == _added(part, numbers), (part, numbers)
    if explained.held.events is not None:
        of_events = [event for event in seen if event["time"] is not None]
        assert explained.held.events == sum(_taken(feature, takings[0], event) is not None for event in of_events)


def _taken(feature: Feature, taking: Taking, event: Row) -> Any:
    return (oracle._value if feature.aggregation == "approx_distinct" else oracle.number)(taking, event)


def _added(part: str, numbers: list[int]) -> int | None:
    match part:
        case "count":
            return len(numbers)
        case "sum":
            return sum(numbers)
        case "squares":
            return sum(number * number for number in numbers)
    return (min if part == "min" else max)(numbers) if numbers else None


S = 1_000_000
SOURCE = Source("sales", S, "time", None, ("id",), 0, 0, 0, 0, ())
WINDOW = Window(length=60, delay=20, step=10, edge=10)


@pytest.mark.parametrize(
    ("time_s", "amount", "member", "fate"),
    [
        (10, 1.0, True, IN),  # the first slot of [10, 70), which a request at 95 sees
        (69, 1.0, True, IN),  # the last
        (9, 1.0, True, OLD),
        (70, 1.0, True, EDGE),  # older than the delay, but the near edge moves by 10
        (74, 1.0, True, EDGE),
        (75, 1.0, True, DELAY),  # 95 - 20 = 75, which floors to 70
        (94, 1.0, True, DELAY),
        (95, 1.0, True, OWN_TICK),
        (96, 1.0, True, AFTER),
        (30, 1.0, False, FILTERED),
        (30, None, True, NULL),
        (30, None, False, FILTERED),
        (5, None, False, OLD),  # where it is comes first
    ],
)
def test_why_an_event_is_in_or_out(time_s: int, amount: float | None, member: bool, fate: int) -> None:
    taking = Taking("amount", 100, (Condition("member", one_of=(True,)),))
    entity = Entity(SOURCE, ("shop",), (Feature("spent", "sum", taking, None, WINDOW, 0, False),))
    event = _event(time_s, amount, member)
    events = take(SOURCE, columns([event, event]))
    explained = explain.explain(entity, entity.features[0], events, True, 95, columns([event]))
    assert explained.fates.tolist() == [fate, REPEATED if fate in (IN, FILTERED, NULL) else fate]
    assert explained.numbers[0].tolist() == [100 if fate not in (NULL, FILTERED) and member else 0] * 2
    assert explained.held.starts.tolist() == ([time_s] if fate in (IN, FILTERED, NULL) else [])


def test_the_request_is_one_more_event_and_of_a_tie_the_last() -> None:
    window = Window(60, 0, 1, 1)
    taking = Taking("amount", 100, ())
    features = tuple(Feature(kind, kind, taking, None, window, 0, True) for kind in ("sum", "last", "max"))
    entity = Entity(SOURCE, ("shop",), features)
    events = take(SOURCE, columns([_event(90, 7.0, True)]))
    own = columns([_event(0, 2.5, True)])
    found = {f.name: explain.explain(entity, f, events, True, 95, own).held.sums[0] for f in features}
    assert found == {"sum": {"count": 2, "sum": 950}, "last": {"last": 250}, "max": {"max": 700}}
    nobody = explain.explain(entity, features[0], events.where(np.empty(0, np.int64)), False, 95, own)
    assert nobody.held.sums == ({"count": 0, "sum": 0},)


def test_nearest_comes_first() -> None:
    times = np.array([-5, 0, 3, 9, 10, 10, 14, -1]) * S
    order = explain.nearest(times, 0, 10, S)
    assert (times[order] // S).tolist() == [9, 3, 0, 10, 10, -1, 14, -5]  # of the window first, then by distance


def _event(time_s: int, amount: float | None, member: bool) -> Row:
    return {"time": time_s * S, "ingest": None, "id": "1", "part": None, "shop": "a", "lane": 1, "member": member,
            "amount": amount, "items": 1, "buyer": None}  # fmt: skip
