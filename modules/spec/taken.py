"""What is taken in of an event."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from modules.spec.condition import Condition
from modules.spec.field_error import FieldError, within
from modules.spec.frozen import Frozen
from modules.spec.typed import ColumnType, Typed, type_of


class Taken(Frozen):
    """What is taken in of an event: a number, or the event itself."""

    value: str | None = None
    """A column of type int or float; without it each event counts as 1."""
    scale: Annotated[int, Field(ge=1, le=2**31)] | None = None
    """For a float: units per 1. The value is taken in as the whole number rint(value * scale), half to even; so 100 for
    an amount in cents."""
    filter: tuple[Condition, ...] = ()
    """Conditions that an event must meet, all of them."""

    @property
    def units(self) -> int:
        """Units per 1."""
        return self.scale or 1

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of an event that it reads."""
        return (*((self.value,) if self.value else ()), *(condition.column for condition in self.filter))

    def check_columns(self, columns: Mapping[str, Typed], numeric: bool = True) -> None:
        """Checks what is taken in against the columns of its source.

        Args:
          columns: The source's.
          numeric: Whether the value is a number; else it is only compared.

        Raises:
          FieldError: The columns do not have it.
        """
        accepted: tuple[ColumnType, ...] = ("int", "float") if numeric else ("int", "string", "bool")
        kind = None
        if self.value is not None:
            with within("value"):
                kind = type_of(self.value, columns, *accepted)
        if kind == "float" and self.scale is None:
            raise FieldError(f"units per 1 (100 for an amount in cents), because {self.value} is a float", "scale")
        if kind != "float" and self.scale is not None:
            why = "there is no value" if self.value is None else f"{self.value} is of type {kind}"
            raise FieldError(f"nothing, because {why}", "scale")
        for index, condition in enumerate(self.filter):
            with within("filter", index):
                condition.check(columns)
