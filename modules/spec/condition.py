"""What an event must be to be taken in."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from modules.spec.field_error import FieldError, within
from modules.spec.frozen import Frozen
from modules.spec.typed import Typed, type_of

_PYTHON = {"int": int, "string": str, "bool": bool}
_INT64 = range(-(2**63), 2**63)
_EXACT = 2.0**53
"""Below it no two whole numbers are the same float, so that comparing floats compares them."""


class Condition(Frozen):
    """What a column of an event must be; a null never is."""

    column: str
    """A column of the source."""
    one_of: Annotated[tuple[str | int | bool, ...], Field(min_length=1)] | None = None
    """Values of the column's type, of which it must be one; for int, string and bool."""
    at_least: float | None = None
    """The least number, itself accepted."""
    above: float | None = None
    """The number that it must exceed."""
    at_most: float | None = None
    """The greatest number, itself accepted."""
    below: float | None = None
    """The number that it must stay below."""

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        low, high = ([bound for bound in bounds if bound is not None]
                     for bounds in ((self.at_least, self.above), (self.at_most, self.below)))  # fmt: skip
        if (self.one_of is None) == (not low and not high):
            raise ValueError("either one_of, or bounds out of at_least, above, at_most and below")
        if len(low) > 1:
            raise FieldError("nothing beside above", "at_least")
        if len(high) > 1:
            raise FieldError("nothing beside below", "at_most")
        if low and high and (low > high or (low == high and None in (self.at_least, self.at_most))):
            raise ValueError("bounds that some number meets")
        return self

    def check(self, columns: Mapping[str, Typed]) -> None:
        """Checks the condition against the columns of its source.

        Raises:
          FieldError: It does not suit them.
        """
        with within("column"):
            kind = type_of(self.column, columns, "int", "float", "string", "bool")
        if self.one_of is None:
            if kind in ("string", "bool"):
                raise FieldError(f"one_of and no bounds, because {self.column} is of type {kind}")
        elif kind == "float":
            raise FieldError(f"bounds instead, because {self.column} is of type float", "one_of")
        for name in ("at_least", "above", "at_most", "below"):
            bound = getattr(self, name)
            if kind == "int" and bound is not None and abs(bound) >= _EXACT:
                raise FieldError(f"a number between -2^53 and 2^53, because {self.column} is of type int", name)
        for index, value in enumerate(self.one_of or ()):
            if type(value) is not _PYTHON[kind] or (isinstance(value, int) and value not in _INT64):
                raise FieldError(f"a value of the type of {self.column}, {kind}", "one_of", index)
