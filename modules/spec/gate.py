"""The gate section: what is compared before a model is pushed."""

from typing import Annotated, Literal

from pydantic import Field

from modules.spec.frozen import Frozen


class Gate(Frozen):
    """How much of the eval split the parity gate compares. It changes no model, and no row in the store."""

    rows: Annotated[int, Field(ge=1)] | Literal["all"] = 2000
    """How many rows of the eval split are compared at most, chosen by the hash of their id; or all."""
