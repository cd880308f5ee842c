"""The type of a column, of rows or of events, and how its times are read."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, field_validator, model_validator

from modules.spec.field_error import FieldError
from modules.spec.frozen import Frozen

ColumnType = Literal["int", "float", "string", "bool", "timestamp"]
COLUMN_TYPES: tuple[ColumnType, ...] = get_args(ColumnType)


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("each column once")
    return names


ColumnNames = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_each_once)]
"""Names of columns, at least one."""


class Typed(Frozen):
    """What a column holds."""

    type: ColumnType
    """int: 64 bits; float: kept as float64 until it is rounded once to float32; timestamp: an instant, UTC."""
    unit: Literal["s", "ms", "us"] | None = None
    """For a timestamp stored as a number: what it counts since 1970-01-01T00:00:00Z."""
    zone: str | None = None
    """For a timestamp stored as local time without an offset: its IANA time zone, such as America/Chicago."""
    ambiguous: Literal["earliest", "latest"] | None = None
    """Which instant a local time means that the end of summer time repeats. Without it such a row is an error."""

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        if zone is not None:
            try:
                ZoneInfo(zone)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a directory, such as America
                raise ValueError("an IANA time zone such as Europe/Paris") from error
        return zone

    @model_validator(mode="after")
    def _times_are_read_one_way(self) -> Self:
        if self.type != "timestamp" and (self.unit or self.zone or self.ambiguous):
            raise ValueError(f"no unit, zone or ambiguous, because the type is {self.type} and not timestamp")
        if self.ambiguous and not self.zone:
            raise ValueError("a zone with ambiguous, because only local time is ambiguous")
        return self

    @property
    def becomes_float32(self) -> bool:
        """Whether the examples hold the column as float32, so that a value must fit there."""
        return False


def type_of(name: str, columns: Mapping[str, Typed], *accepted: ColumnType, which: str = "") -> ColumnType:
    """The type of one of these columns.

    Raises:
      FieldError: There is no such column, or its type is not accepted.
    """
    if name in columns and (kind := columns[name].type) in accepted:
        return kind
    listed = ", ".join(column for column, typed in columns.items() if typed.type in accepted) or "there is none"
    types = f"{', '.join(accepted[:-1])} or {accepted[-1]}" if accepted[1:] else accepted[0]
    raise FieldError(f"a column of type {types}{which}: {listed}")
