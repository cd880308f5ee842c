"""What a model must reach before it is pushed, and the slices it is judged on."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from modules.spec.field_error import FieldError
from modules.spec.frozen import Frozen

Metric = Literal["auc", "precision", "recall", "accuracy", "log_loss", "calibration"]


class Threshold(Frozen):
    """Bounds on one metric over the whole eval split. A missed bound withholds the blessing."""

    at_least: float | None = None
    """The least value that is blessed, itself included."""
    at_most: float | None = None
    """The greatest value that is blessed, itself included."""
    may_worsen_by: Annotated[float, Field(ge=0)] | None = None
    """How much worse than the last blessed model, on the same rows, is still blessed. Not for calibration, which has
    no better direction."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.at_least is None and self.at_most is None and self.may_worsen_by is None:
            raise ValueError("at least one of at_least, at_most and may_worsen_by")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise FieldError(f"at most at_most, which is {self.at_most:g}", "at_least")
        return self


FEWEST_SEEDS, MOST_SEEDS = 2, 20
"""Of an ablation: of a single seed nobody can say how far another would be from it."""


class Evaluation(Frozen):
    """How the model is judged on the eval split."""

    slices: tuple[str, ...] = ()
    """Columns whose values each get metrics of their own."""
    thresholds: dict[Metric, Threshold]
    """The bounds, by metric; a model is never pushed unjudged, so there is at least one."""

    ablation_seeds: Annotated[int, Field(ge=0, le=MOST_SEEDS)] = 0
    """With how many seeds, from `training.seed` on, the model is trained with and without its live features, to show
    what these add: 2 to 20; 0: not at all."""

    @field_validator("ablation_seeds")
    @classmethod
    def _of_some_seeds(cls, seeds: int) -> int:
        if seeds and seeds < FEWEST_SEEDS:
            raise ValueError(f"0, or {FEWEST_SEEDS} to {MOST_SEEDS}")
        return seeds

    @model_validator(mode="after")
    def _judged(self) -> Self:
        if not self.thresholds:
            raise FieldError("at least one threshold, such as auc: {at_least: 0.7}", "thresholds")
        calibration = self.thresholds.get("calibration")
        if calibration and calibration.may_worsen_by is not None:
            why = "no may_worsen_by for calibration, which has no better direction"
            raise FieldError(why, "thresholds", "calibration", "may_worsen_by")
        return self
