"""Which rows train the model, which tune it, and which judge it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from modules.spec.field_error import FieldError
from modules.spec.frozen import Frozen

TRAIN, VALIDATION, EVAL = SPLITS = ("train", "validation", "eval")
"""train fits the model, validation stops and tunes it, eval judges it and is seen by nothing else."""

Fraction = Annotated[float, Field(gt=0, lt=1)]


class Split(Frozen):
    """How rows are divided.

    By `time`: the rows in order of the time column; the last `eval` of them judge, the `validation` before them tune,
    and rows of the same time stay together. By `hash`: by the hash of the column `key`, so that no entity is in two
    splits; rows without the key are divided by their id.
    """

    by: Literal["time", "hash"]
    """time: train on the past and judge on what follows; hash: entities are kept apart."""
    key: str | None = None
    """For `by: hash`: the column whose values are kept together."""
    validation: Fraction
    """Share of the rows that stop and tune the training."""
    eval: Fraction
    """Share of the rows that judge the model."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.by == "hash" and self.key is None:
            raise FieldError("with by: hash, the column whose values are kept together", "key")
        if self.by == "time" and self.key is not None:
            raise FieldError("no key with by: time", "key")
        if self.validation + self.eval >= 1:
            raise FieldError("validation and eval that leave rows to train on: together below 1", "eval")
        return self
