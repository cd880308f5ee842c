"""A live feature: a value that is computed from the events of one entity, as of a time."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import model_validator

from modules.spec.columns import FILL_LIMITS, Column, check_transform
from modules.spec.duration import Duration, SomeDuration, micros, written
from modules.spec.field_error import FieldError, within
from modules.spec.ladder import LADDER, at_or_above
from modules.spec.source import Source
from modules.spec.taken import Taken
from modules.spec.transforms import Scale, Transform
from modules.spec.typed import ColumnNames, Typed, type_of

Aggregation = Literal["count", "sum", "mean", "min", "max", "last", "stddev", "approx_distinct", "ratio"]
_INTEGERS = ("count", "approx_distinct")
_ZERO_WHEN_EMPTY = ("count", "sum", "approx_distinct")


class LiveFeature(Taken):
    """A value computed from the events of one entity, as of a time."""

    description: str = ""
    """One line, for people."""
    source: str
    """The source of its events."""
    key: ColumnNames
    """The entity's columns, of the same name and type in events and requests. An event in which one of them is null
    belongs to no entity; a request in which one is null gets the value of no events."""
    aggregation: Aggregation
    """What is computed. stddev is of the sample; ratio is the sum of value over the sum of over; last has the latest
    time; approx_distinct counts different values with a standard error of 3 %."""
    over: Taken | None = None
    """For ratio: what it is divided by."""
    window: SomeDuration
    """How much time it looks back on."""
    delay: Duration = "0s"
    """How old an event must be to count. Where it is at least the source's lateness, training and serving agree as long
    as the stream lags by no more than the difference."""
    include_request: bool = False
    """Whether the request counts as one more event, after the window's."""
    default: float | None = None
    """The value where there is nothing to compute it from. count, sum and approx_distinct have 0 there."""
    step: Duration | None = None
    """How finely the window's far edge moves: 1, 10, 60, 600, 3600 or 86400 ticks. Without it the first at or above a
    1000th of the window; a 30th for approx_distinct."""
    edge: Duration | None = None
    """How finely the window's near edge moves, likewise. Without it the first at or above a 1000th of the delay; for
    approx_distinct, of the window too."""
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

    @property
    def takes(self) -> tuple[Taken, ...]:
        """What is taken in of events; of a ratio the dividend, then the divisor."""
        return (self,) if self.over is None else (self, self.over)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        kind = self.aggregation
        if kind == "count" and self.value is not None:
            raise FieldError("nothing, because count counts events; filter says which", "value")
        if kind not in ("count", "ratio") and self.value is None:
            raise FieldError(f"the column that {kind} is computed from", "value")
        if kind == "ratio" and self.over is None:
            raise FieldError("what the sum is divided by: {value: COLUMN, scale: UNITS}, or {} for all events", "over")
        if kind != "ratio" and self.over is not None:
            raise FieldError(f"nothing, because only ratio divides, not {kind}", "over")
        if kind in _ZERO_WHEN_EMPTY and self.default is not None:
            raise FieldError(f"nothing, because {kind} is 0 where there are no events", "default")
        if kind not in _ZERO_WHEN_EMPTY and self.default is None:
            raise FieldError(f"a number: the value of {kind} where there is nothing to compute it from", "default")
        if abs(self.value_when_empty) > FILL_LIMITS["float"]:
            raise FieldError(f"a number whose size is at most {FILL_LIMITS['float']}", "default")
        if self.include_request and micros(self.delay):
            raise FieldError("false with a delay, because the request's own event has no age", "include_request")
        with within("transform"):
            check_transform(self.dtype, self.transform)
        return self

    def ticks(self, tick: int) -> tuple[int, int, int, int]:
        """Window, delay, step and edge in ticks of so many microseconds, the defaults filled in."""
        window, delay = micros(self.window) // tick, micros(self.delay) // tick
        distinct = self.aggregation == "approx_distinct"
        step = at_or_above(window / (30 if distinct else 1000))
        edge = at_or_above(max(delay, window if distinct else 0) / 1000)
        return (
            window,
            delay,
            step if self.step is None else micros(self.step) // tick,
            edge if self.edge is None else micros(self.edge) // tick,
        )

    def sees(self, slot: int, tick: int) -> tuple[int, int]:
        """The slots of the events that a request in a slot sees: from the first, itself included, to the second.

        Args:
          slot: floor(time / tick) of the request.
          tick: In microseconds.
        """
        window, delay, step, edge = self.ticks(tick)
        stop = (slot - delay) // edge * edge
        return (stop - window) // step * step, stop

    def check_ticks(self, tick: int) -> None:
        """Checks the window against the tick, in microseconds.

        Raises:
          FieldError: Step or edge is not on the ladder, or wider than the window.
        """
        window, _, *widths = self.ticks(tick)
        for field, width in zip(("step", "edge"), widths, strict=True):
            given = getattr(self, field)
            if given is not None and (micros(given) % tick or width not in LADDER):
                raise FieldError(f"one of {', '.join(written(width * tick) for width in LADDER)}", field)
            if given is not None and width > window:
                raise FieldError(f"at most the window, {self.window}", field)
            if width > window:  # a long delay makes for a coarse edge
                least = written(width * tick)
                raise FieldError(f"at least {least}, as finely as the near edge moves; or set edge too", "window")

    def check(self, source: Source, columns: Mapping[str, Typed], dataset: Mapping[str, Column]) -> None:
        """Checks the feature against what it is computed from.

        Args:
          source: Its source.
          columns: The source's columns.
          dataset: The dataset's columns, of which requests carry the features and keys.

        Raises:
          FieldError: They do not have what it names.
        """
        self.check_columns(columns, numeric=self.aggregation != "approx_distinct")
        if self.over:
            with within("over"):
                self.over.check_columns(columns)
        carried = {name: column.type for name, column in dataset.items() if column.role in ("feature", "key")}
        shared = {name: typed for name, typed in columns.items() if carried.get(name) == typed.type}
        keys = {name: typed for name, typed in shared.items() if "," not in name}
        for index, column in enumerate(self.key):
            with within("key", index):
                type_of(column, keys, "int", "string", "bool", which=" that events and requests share")
        for column in (column for taken in self.takes for column in taken.reads):
            if self.include_request and column not in shared:
                why = f"requests do not carry {column} (role feature or key, type {columns[column].type})"
                raise FieldError(f"false, because {why}", "include_request")
            known_later = source.columns is None and dataset[column].role == "label"
            if known_later and micros(self.delay) < micros(source.lateness):
                why = f"{column} has role: label, so it is known only later"
                raise FieldError(f"at least the source's lateness, {source.lateness}, because {why}", "delay")
