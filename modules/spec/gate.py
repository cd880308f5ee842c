"""The gate section: what is compared before a model is pushed."""

from typing import Annotated, Literal

from pydantic import Field

from modules.spec.frozen import Frozen

_Amount = Annotated[float, Field(gt=0)]
_Store = Annotated[str, Field(pattern="^(sqlite|rediss?|bigtable)://[^@]+$")]


class Budget(Frozen):
    """What the model may cost to serve, at most, on the machine that runs the gate. More withholds it."""

    load_s: _Amount = 300.0
    """Seconds to load it."""
    answer_p99_ms: _Amount = 10000.0
    """Milliseconds within which 99 of 100 requests of a single row are answered over gRPC."""
    size_mb: _Amount = 2000.0
    """Megabytes that its files take."""
    memory_mb: _Amount = 8000.0
    """Megabytes by which the process grows when it loads the model."""


class Gate(Frozen):
    """What the parity gate compares. It changes no model, and no row in the store."""

    rows: Annotated[int, Field(ge=1)] | Literal["all"] = 2000
    """How many rows of the eval split are compared at most, chosen by the hash of their id; or all."""
    store: _Store | None = None
    """The URL of an online store of the kind that serves, without a password, in which a namespace is made and removed;
    without it a SQLite file."""
    budget: Budget = Budget()
    """What the model may cost to serve."""
