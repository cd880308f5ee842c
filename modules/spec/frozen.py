"""The base of every model of the declaration."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable, checked when made; unknown keys and silent conversions are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)
