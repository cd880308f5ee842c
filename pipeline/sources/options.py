"""What a source's URL says after its `?`."""

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Immutable, from text, checked when made; the docstring of each option says what is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
