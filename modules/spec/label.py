"""What the model learns to predict: a column as it is, or a rule over two columns that is decided exactly."""

from fractions import Fraction
from typing import Annotated

from pydantic import Field, field_validator

from modules.spec.frozen import Frozen


class RatioAbove(Frozen):
    """1 where `numerator / denominator > threshold`, decided in integers, so that no rounding moves a row.

    Both columns become `rint(value * scale)`, half to even; with threshold p/q the rule is
    `q * numerator > p * denominator`. A zero denominator needs no rule of its own: any tip is above 1/5 of nothing.
    """

    numerator: str
    """A column of type int or float."""
    denominator: str
    """A column of type int or float."""
    threshold: str
    """A fraction, such as "1/5"."""
    scale: Annotated[int, Field(ge=1)]
    """Units per 1: 100 for amounts in cents."""

    @field_validator("threshold")
    @classmethod
    def _fraction(cls, threshold: str) -> str:
        try:
            positive = Fraction(threshold) >= 0
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError('a fraction such as "1/5" or "0.2"') from error
        if not positive:
            raise ValueError('a fraction of 0 or more, such as "1/5"')
        return threshold


class Label(Frozen):
    """A binary label, stored as the int64 column `name` with 0 and 1."""

    name: str
    """The label's column in the examples."""
    column: str | None = None
    """A column of type int (0 and 1) or bool, with role: label, that holds the label."""
    ratio_above: RatioAbove | None = None
    """The rule that makes the label."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the label is made from."""
        if self.ratio_above:
            return (self.ratio_above.numerator, self.ratio_above.denominator)
        return (self.column,) if self.column else ()
