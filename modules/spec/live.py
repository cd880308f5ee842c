"""Live features: what a declaration says of the events, and of the values that are computed from them as of a time."""

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from modules.spec.columns import Column
from modules.spec.duration import Duration, micros
from modules.spec.frozen import Frozen
from modules.spec.ladder import LADDER, at_or_above
from modules.spec.transforms import Scale, Transform
from modules.spec.typed import Typed

SEMANTICS = 1
"""Counts up with each change of what a declared feature means or of how rows are laid out."""

Aggregation = Literal[
    "count", "sum", "mean", "min", "max", "last", "stddev", "approx_distinct", "ratio"
]  # fmt: skip
_INTEGERS = ("count", "approx_distinct")
_ZERO_WHEN_EMPTY = ("count", "sum", "approx_distinct")
_Scalar = str | int | float | bool


class Condition(Frozen):
    """What a column of an event must be; a null never is."""

    column: str
    """A column of the source."""
    one_of: Annotated[tuple[_Scalar, ...], Field(min_length=1)] | None = None
    """Values of the column's type, of which it must be one."""
    at_least: float | None = None
    """The least number, itself accepted."""
    above: float | None = None
    """The number that it must exceed."""
    at_most: float | None = None
    """The greatest number, itself accepted."""
    below: float | None = None
    """The number that it must stay below."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        bounds = (self.at_least, self.above, self.at_most, self.below)
        if (self.one_of is None) == all(bound is None for bound in bounds):
            raise ValueError("either one_of, or bounds out of at_least, above, at_most and below")
        return self

    def check(self, columns: dict[str, Typed], where: str) -> None:
        """Raises ValueError unless the condition suits the columns."""
        if self.column not in columns:
            raise ValueError(f"for {where} a column of the source, not {self.column!r}")
        kind = columns[self.column].type
        if self.one_of is None:
            if kind not in ("int", "float"):
                raise ValueError(f"for {where} one_of, because {self.column} is a {kind}")
            return
        python = {"int": int, "string": str, "bool": bool}.get(kind)
        if python is None:
            raise ValueError(f"for {where} bounds, because {self.column} is a {kind}")
        for value in self.one_of:
            if type(value) is not python:
                raise ValueError(f"for {where} values of the type of {self.column}, {kind}, not {value!r}")


class Taken(Frozen):
    """What is taken in of an event: a number, or the event itself."""

    value: str | None = None
    """A column of type int or float; without it each event counts as 1."""
    scale: Annotated[int, Field(ge=1, le=2**31)] | None = None
    """Units per 1: the value is taken in as the whole number rint(value * scale). Cents: 100. An int column has 1."""
    filter: tuple[Condition, ...] = ()
    """Conditions that an event must meet, all of them."""

    @property
    def units(self) -> int:
        """Units per 1."""
        return self.scale or 1

    def check(self, columns: dict[str, Typed], where: str) -> None:
        """Raises ValueError unless the source's columns have what is taken in."""
        if self.value is None:
            if self.scale is not None:
                raise ValueError(f"for {where} no scale, because no value is named")
        elif self.value not in columns or columns[self.value].type not in ("int", "float"):
            raise ValueError(f"for {where}.value a column of the source of type int or float, not {self.value!r}")
        elif columns[self.value].type == "float" and self.scale is None:
            raise ValueError(f"for {where} a scale (units per 1; cents: 100), because {self.value} is a float")
        for index, condition in enumerate(self.filter):
            condition.check(columns, f"{where}.filter.{index}")


class Source(Frozen):
    """A stream of events, and its history."""

    columns: dict[str, Typed] | None = None
    """The events' columns; without it the dataset's own."""
    time: str
    """The column with the event's time, of type timestamp."""
    ingest_time: str | None = None
    """The column with the time at which the first durable log took the event in, for recorded events; without it, and
    where it is null, recorded events count however late they were. A message broker stamps its own."""
    id: tuple[str, ...] | None = None
    """The columns that tell events apart, beside key, time and values; without it all columns."""
    lateness: Duration
    """How long after its time an event may be ingested and still count."""
    ahead: Duration = "0s"
    """How far an event's time may lie after its ingestion."""
    slack: Duration = "0s"
    """How much longer slots stay open where the watermark is an estimate: above the broker's redelivery time."""
    batch: str | None = None
    """Where the history is: as `data`. Without it the dataset's data."""
    stream: str | None = None
    """Where the stream is: file://PATH, pubsub://PROJECT/SUBSCRIPTION or kafka://BROKERS/TOPIC."""


class LiveFeature(Taken):
    """A value computed from the events of one entity, as of a time."""

    description: str = ""
    """One line, for people."""
    source: str
    """The source of its events."""
    key: Annotated[tuple[str, ...], Field(min_length=1)]
    """The entity's columns, of the same name and type in the events and in the request."""
    aggregation: Aggregation
    """What is computed. stddev is of the sample; ratio is the sum of value over the sum of over; last has the latest
    time; approx_distinct counts different values with a standard error of 3 %."""
    over: Taken | None = None
    """For ratio: what it is divided by."""
    window: Duration
    """How much time it looks back on."""
    delay: Duration = "0s"
    """How old an event must be to count, for values that are known only later."""
    include_request: bool = False
    """Whether the request counts as one more event, after the window's."""
    default: float | None = None
    """The value where there is nothing to compute it from. count, sum and approx_distinct have 0."""
    step: Duration | None = None
    """How finely the window's far edge moves: 1, 10, 60, 600, 3600 or 86400 ticks."""
    edge: Duration | None = None
    """How finely the window's near edge moves, likewise."""
    transform: Transform = Scale(name="scale")
    """How it becomes a model input."""

    @property
    def dtype(self) -> Literal["int", "float"]:
        """int: int64; float: float64, until it is rounded once."""
        return "int" if self.aggregation in _INTEGERS else "float"

    @property
    def value_when_empty(self) -> float:
        """The value where there is nothing to compute it from."""
        return 0 if self.default is None else self.default

    @property
    def column(self) -> Column:
        """The feature as a column of the examples."""
        return Column(type=self.dtype, role="feature", transform=self.transform)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        kind = self.aggregation
        if kind == "count" and self.value is not None:
            raise ValueError("no value for count; to count the events that have it, use a filter")
        if kind not in ("count", "ratio", "approx_distinct") and self.value is None:
            raise ValueError(f"a value for {kind}: a column of the source")
        if kind == "approx_distinct" and (self.value is None or self.scale is not None):
            raise ValueError("a value without a scale for approx_distinct: a column of the source")
        if (kind == "ratio") != (self.over is not None):
            raise ValueError("over (what it is divided by) with aggregation: ratio, and only there")
        if kind in _ZERO_WHEN_EMPTY:
            if self.default is not None:
                raise ValueError(f"no default for {kind}: it is 0 where there are no events")
        elif self.default is None:
            raise ValueError(f"a default for {kind}: its value where there is nothing to compute it from")
        if micros(self.window) == 0:
            raise ValueError("a window longer than 0s")
        if self.include_request and micros(self.delay):
            raise ValueError("include_request only with delay: 0s, because the request's own event has no age")
        if len(set(self.key)) < len(self.key):
            raise ValueError("each column of the key once")
        self.column  # noqa: B018  a transform that does not suit the type raises here
        return self

    def ticks(self, tick: int) -> tuple[int, int, int, int]:
        """Window, delay, step and edge in ticks of so many microseconds, the defaults filled in."""
        window, delay = micros(self.window) // tick, micros(self.delay) // tick
        step = at_or_above(window / (30 if self.aggregation == "approx_distinct" else 1000))
        edge = at_or_above(delay / 1000)
        if self.aggregation == "approx_distinct":
            edge = max(edge, at_or_above(window / 1000))
        return (
            window,
            delay,
            step if self.step is None else micros(self.step) // tick,
            edge if self.edge is None else micros(self.edge) // tick,
        )


class Live(Frozen):
    """The live features and their sources."""

    tick: Duration = "1s"
    """What windows count in."""
    lookback: Duration = "1h"
    """How long after its time a request can still be answered."""
    sources: Annotated[dict[str, Source], Field(min_length=1)]
    """The streams of events, by name."""
    features: Annotated[dict[str, LiveFeature], Field(min_length=1)]
    """The features, by name."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (tick := micros(self.tick)) == 0:
            raise ValueError("a tick longer than 0s")
        durations = {"lookback": self.lookback}
        for name, source in self.sources.items():
            durations |= {f"sources.{name}.{field}": getattr(source, field) for field in ("lateness", "ahead", "slack")}
        for name, feature in self.features.items():
            if feature.source not in self.sources:
                raise ValueError(f"for features.{name}.source one of {', '.join(self.sources)}, not {feature.source!r}")
            durations |= {f"features.{name}.{field}": getattr(feature, field) for field in ("window", "delay")}
            for field in ("step", "edge"):
                width = getattr(feature, field)
                if width is not None and micros(width) not in [ticks * tick for ticks in LADDER]:
                    raise ValueError(f"for features.{name}.{field} {', '.join(map(str, LADDER))} ticks, not {width}")
        for field, duration in durations.items():
            if micros(duration) % tick:
                raise ValueError(f"for {field} whole ticks of {self.tick}, not {duration}")
        return self

    def check(self, columns: dict[str, Column]) -> None:
        """Raises ValueError unless the live features suit the dataset's columns."""
        requests = {name: column for name, column in columns.items() if column.role in ("feature", "key")}
        for name, source in self.sources.items():
            own = self.columns(name, columns)
            for what, column in (("time", source.time), ("ingest_time", source.ingest_time)):
                if column is not None and (column not in own or own[column].type != "timestamp"):
                    raise ValueError(f"for live.sources.{name}.{what} a column of type timestamp, not {column!r}")
            for column in source.id or ():
                if column not in own:
                    raise ValueError(f"for live.sources.{name}.id columns of the source, not {column!r}")
        for name, feature in self.features.items():
            where, own = f"live.features.{name}", self.columns(feature.source, columns)
            if feature.aggregation == "approx_distinct":
                if feature.value not in own or own[feature.value].type not in ("int", "string", "bool"):
                    raise ValueError(f"for {where}.value a column of type int, string or bool, not {feature.value!r}")
                feature.model_copy(update={"value": None}).check(own, where)
            else:
                feature.check(own, where)
            if feature.over:
                feature.over.check(own, f"{where}.over")
            for column in feature.key:
                if column not in own or own[column].type not in ("int", "string", "bool"):
                    raise ValueError(f"for {where}.key columns of type int, string or bool, not {column!r}")
                if column not in requests or requests[column].type != own[column].type:
                    raise ValueError(
                        f"for {where}.key columns that the request has too, with role feature or key and type "
                        f"{own[column].type}, not {column!r}"
                    )
            if feature.include_request:
                for column in _read_of_events(feature):
                    if column not in requests or requests[column].type != own[column].type:
                        raise ValueError(
                            f"for {where} no include_request, because the request does not have {column} as a feature "
                            f"or key of type {own[column].type}"
                        )

    def columns(self, source: str, columns: dict[str, Column]) -> dict[str, Typed]:
        """The columns of a source: its own, or the dataset's."""
        own = self.sources[source].columns
        return dict(columns) if own is None else own

    def fingerprint(self, columns: dict[str, Column]) -> str:
        """sha256 of what rows and values depend on: tick, sources, keys and features; 64 hexadecimal digits.

        Descriptions, defaults, transforms, places and how long is looked back do not enter.
        """
        tick = micros(self.tick)
        meaning: dict[str, Any] = {"semantics": SEMANTICS, "tick": tick, "sources": {}, "features": {}}
        for name in sorted(self.sources):
            source, own = self.sources[name], self.columns(name, columns)
            meaning["sources"][name] = {
                "columns": {column: Typed(**own[column].model_dump(include=set(Typed.model_fields))).model_dump()
                            for column in sorted(own)},
                "time": source.time,
                "ingest_time": source.ingest_time,
                "id": source.id,
                "lateness": micros(source.lateness),
                "ahead": micros(source.ahead),
            }  # fmt: skip
        for name in sorted(self.features):
            feature = self.features[name]
            said = feature.model_dump(
                exclude={"description", "default", "transform", "window", "delay", "step", "edge"}
            )
            meaning["features"][name] = said | {"ticks": feature.ticks(tick)}
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def _read_of_events(feature: LiveFeature) -> list[str]:
    """The columns of an event that a feature takes in, its key left out."""
    both = [feature, feature.over] if feature.over else [feature]
    values = [taken.value for taken in both if taken.value is not None]
    return [*values, *(condition.column for taken in both for condition in taken.filter)]
