"""The generators reach what they are there for: each row is found among few examples."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests import strategies
from tests.modules.kernel import oracle
from tests.modules.kernel.paths import by_oracle
from tests.strategies import AGGREGATIONS, Case


def _identities(case: Case) -> list[tuple[object, ...]]:
    keyed = [e for e in case.events if None not in [e[column] for column in case.entity.key]]
    return [(*(e[column] for column in case.entity.key), *oracle.identity(case.entity, e)) for e in keyed]


def _conflict(case: Case) -> bool:
    different = set(_identities(case))
    return len({identity[:-1] for identity in different}) < len(different)


def _verdict(name: str) -> Callable[[Case], bool]:
    return lambda case: any(oracle.verdict(case.entity.source, event) == name for event in case.events)


def _answered(aggregation: str) -> Callable[[Case], bool]:
    def found(case: Case) -> bool:
        answers = by_oracle(case)
        return any(not answers[f.name].empty.all() for f in case.entity.features if f.aggregation == aggregation)

    return found


def _beyond_float(case: Case) -> bool:
    takings = {t for f in case.entity.features for t in (f.taking, f.over) if t is not None and t in _numbers(case)}
    return any(
        abs(sum(oracle.number(t, e) or 0 for e in case.events if oracle.verdict(case.entity.source, e) == "counts"))
        > 2**53
        for t in takings
    )


def _numbers(case: Case) -> set[object]:
    return set(case.entity.source.takings)


REACHED: dict[str, Callable[[Case], bool]] = {
    "an event too late": _verdict("late"),
    "an event from the future": _verdict("future"),
    "a number that cannot be taken in": _verdict("value"),
    "the same event twice": lambda case: len(set(_identities(case))) < len(_identities(case)),
    "one id with two contents": _conflict,
    "a sum beyond 2^53": _beyond_float,
    "a time before 1970": lambda case: any(event["time"] < 0 for event in case.events),
    "a key with a null": lambda case: any(None in request.key for request in case.requests),
    "the least window": lambda case: any(feature.window.length == 1 for feature in case.entity.features),
    "edges that move differently": lambda case: any(f.window.step != f.window.edge for f in case.entity.features),
    **{f"{aggregation} of something": _answered(aggregation) for aggregation in AGGREGATIONS},
}


@pytest.fixture(scope="module")
def reached() -> dict[str, int]:
    """How many of 100 cases have each property."""
    counts = dict.fromkeys(REACHED, 0)

    @settings(
        max_examples=100,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategies.cases())
    def count(case: Case) -> None:
        for name, holds in REACHED.items():
            counts[name] += holds(case)

    count()
    return counts


def test_two_buyers_share_a_register() -> None:
    [(one, rank)], [(other, greater)] = (oracle.registers({name}).items() for name in ("ann", "buyer 10191"))
    assert one == other
    assert rank != greater


@pytest.mark.parametrize("name", REACHED)
def test_reached(name: str, reached: dict[str, int]) -> None:
    assert reached[name] >= 2
