"""What live features are, said a second time: one event after the other, in whole numbers and fractions of Python.

Written from the meaning of a declaration and not from the kernel, of which nothing is imported. An event is a dict from
column to value. Slow, and meant to be read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from modules.kernel.plan import Condition, Entity, Feature, Source, Taking
    from modules.kernel.window import Window

Event = dict[str, Any]
Verdict = Literal["counts", "late", "future", "value"]


@dataclasses.dataclass(frozen=True)
class Expected:
    """One feature as of a time."""

    value: int | float
    empty: bool


def slot(time: int, tick: int) -> int:
    """The tick that a time in microseconds falls into."""
    return math.floor(Fraction(time, tick))


def first_and_end(window: Window, asked: int) -> tuple[int, int]:
    """`from` and `to` of the design: seen is each event of a slot with from <= slot < to."""
    end = math.floor(Fraction(asked - window.delay, window.edge)) * window.edge
    return math.floor(Fraction(end - window.length, window.step)) * window.step, end


def verdict(source: Source, event: Event) -> Verdict:
    """Whether an event counts, and if not why."""
    time = event[source.time]
    ingest = time if source.ingest_time is None else event[source.ingest_time]
    if ingest is None:
        ingest = time
    if ingest - time > source.lateness:
        return "late"
    if time - ingest > source.ahead:
        return "future"
    for taking in source.takings:
        value = None if taking.value is None else event[taking.value]
        if value is not None and _in_units(value, taking.scale) is None:
            return "value"
    return "counts"


def complete(source: Source, window: Window, asked: int, watermark: int) -> bool:
    """Whether nothing that a request sees can still come: the latest of it was ingested before the watermark."""
    latest_time = first_and_end(window, asked)[1] * source.tick - 1
    return latest_time + source.lateness < watermark


def is_closed(source: Source, of: int, watermark: int) -> bool:
    """Whether the identities of a slot may be forgotten."""
    return (of + 1) * source.tick + source.lateness + source.slack <= watermark


def expected(
    entity: Entity, feature: Feature, events: Sequence[Event], key: tuple[Any, ...] | None, asked: int, request: Event
) -> Expected:
    """The feature for a key (None: a key with a null) and a request of the slot `asked`."""
    start, end = first_and_end(feature.window, asked)
    seen = [
        event
        for event in distinct(entity, events, key)
        if start <= slot(event[entity.source.time], entity.source.tick) < end
    ]
    last = [{**request, entity.source.time: math.inf}] if feature.include_request and key is not None else []
    return _aggregate(feature, [*seen, *last], entity.source.time)


def distinct(entity: Entity, events: Sequence[Event], key: tuple[Any, ...] | None) -> list[Event]:
    """The events of a key that count, each once: it is its time, its id, and what is taken in of it."""
    if key is None:
        return []
    mine = [e for e in events if tuple(e[c] for c in entity.key) == key and verdict(entity.source, e) == "counts"]
    return list({identity(entity, event): event for event in reversed(mine)}.values())


def identity(entity: Entity, event: Event) -> tuple[Any, ...]:
    """What tells an event from the others of its key."""
    named = tuple(event[column] for column in entity.source.id)
    return (event[entity.source.time], named, contents(entity, event))


def contents(entity: Entity, event: Event) -> tuple[Any, ...]:
    """What is taken in of an event, for all features of the entity."""
    return tuple(
        (_value if feature.aggregation == "approx_distinct" else number)(taking, event)
        for feature in entity.features
        for taking in (feature.taking, feature.over)
        if taking is not None
    )


def number(taking: Taking, event: Event) -> int | None:
    """The whole number that is taken in of an event, None for nothing."""
    if taking.value is None:
        return 1 if all(_meets(condition, event) for condition in taking.filter) else None
    value = _value(taking, event)
    return None if value is None else _in_units(value, taking.scale)


def _value(taking: Taking, event: Event) -> Any:
    """The value that is taken in of an event, as it is there."""
    assert taking.value is not None
    return event[taking.value] if all(_meets(condition, event) for condition in taking.filter) else None


def _in_units(value: float, scale: int) -> int | None:
    """`rint(value * scale)`, half to even; None if not finite, or 2^53 or more."""
    if isinstance(value, int):
        units = value * scale
    else:
        product = value * float(scale)
        if not math.isfinite(product):
            return None
        units = round(product)  # half to even
    return units if abs(units) < 2**53 else None


def _meets(condition: Condition, event: Event) -> bool:
    value = event[condition.column]
    if value is None:
        return False
    if condition.one_of is not None:
        return value in condition.one_of
    size = float(value)
    return (
        (condition.at_least is None or size >= condition.at_least)
        and (condition.above is None or size > condition.above)
        and (condition.at_most is None or size <= condition.at_most)
        and (condition.below is None or size < condition.below)
    )


def _aggregate(feature: Feature, events: Sequence[Event], time: str) -> Expected:
    taking, k = feature.taking, feature.taking.scale
    if feature.aggregation == "approx_distinct":
        values = {_value(taking, event) for event in events} - {None}
        return Expected(estimate(registers(values)), not values)
    each = [(event[time], number(taking, event)) for event in events]
    taken: list[tuple[float, int]] = [(at, units) for at, units in each if units is not None]
    units = [size for _, size in taken]
    n, s1, s2 = len(units), sum(units), sum(size * size for size in units)
    default = Expected(feature.default, True)
    match feature.aggregation:
        case "count":
            return Expected(n, n == 0)
        case "sum":
            return Expected(_rounded(s1, k), False) if n else default
        case "mean":
            return Expected(_rounded(s1, n * k), False) if n else default
        case "min":
            return Expected(_rounded(min(units), k), False) if n else default
        case "max":
            return Expected(_rounded(max(units), k), False) if n else default
        case "last":
            return Expected(_rounded(max(taken)[1], k), False) if n else default
        case "stddev":
            if n < 2:
                return default
            return Expected(math.sqrt(_rounded(n * s2 - s1 * s1, n * (n - 1))) / k, False)
        case "ratio":
            over = feature.over
            assert over is not None
            divisor = sum(number(over, event) or 0 for event in events)
            return Expected(_rounded(s1 * over.scale, divisor * k), False) if divisor else default
    raise NotImplementedError(feature.aggregation)


def _rounded(dividend: int, divisor: int) -> float:
    """The float64 nearest to a fraction, half to even, written out: 53 bits of it, and a look at the rest."""
    fraction = Fraction(dividend, divisor)
    if fraction == 0:
        return 0.0
    size = abs(fraction)
    power = size.numerator.bit_length() - size.denominator.bit_length() - 52
    if size >= Fraction(2) ** (power + 53):
        power += 1
    if size < Fraction(2) ** (power + 52):
        power -= 1
    significand = round(size / Fraction(2) ** power)  # of a fraction, Python rounds half to even
    return math.copysign(math.ldexp(significand, power), fraction)


# approx_distinct: HyperLogLog of 2^10 registers (Flajolet, Fusy, Gandouet and Meunier, 2007), over 64 bits of hash.

_M = 2**10
_64 = 2**64


def hash_64(value: Any) -> int:
    """The first 64 bits of what a value is hashed to: blake2b for text, words mixed as splitmix64 does."""
    if isinstance(value, str):
        digest = hashlib.blake2b(value.encode(), digest_size=16).digest()
        words = [int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")]
    else:
        words = [int(value) % _64]
    state = 0x243F6A8885A308D3
    for word in (0x082EFA98EC4E6C89, *words):
        state = _mixed((state + word * 0x9E3779B97F4A7C15) % _64)
    return state


def _mixed(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % _64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % _64
    return z ^ (z >> 31)


def registers(values: set[Any]) -> dict[int, int]:
    """The rank of each register that is set: the top 10 bits name it, the rank is the first 1 of the lowest 52 bits."""
    found: dict[int, int] = {}
    for value in values:
        bits = f"{hash_64(value):064b}"
        index, rest = int(bits[:10], 2), bits[12:]
        rank = rest.index("1") + 1 if "1" in rest else len(rest) + 1
        found[index] = max(found.get(index, 0), rank)
    return found


def estimate(ranks: dict[int, int]) -> int:
    """Figure 3 of the paper, without its correction beyond 2^32; empty registers have rank 0."""
    harmonic = sum(Fraction(1, 2**rank) for rank in ranks.values()) + (_M - len(ranks))
    raw = 0.7213 / (1 + 1.079 / _M) * _M * _M / float(harmonic)
    empty = _M - len(ranks)
    if raw <= 2.5 * _M and empty:
        return round(_M * math.log(_M / empty))
    return round(raw)
