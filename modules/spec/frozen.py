"""The base of every model of the declaration."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable, checked when made; unknown keys, silent conversions, infinity and NaN are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
