"""The catalogue: how a raw feature becomes a model input, and what happens to a row that lacks it.

These are the declarations; `modules/preprocessing.py` holds the one graph that computes them.
A *numeric* transform gives float32, a *categorical* one an int64 category in [0, categories).
"""

from typing import Annotated, Literal

from pydantic import Field

from modules.spec.frozen import Frozen


class Scale(Frozen):
    """`(x - mean) / standard deviation` over the training split; 0 where all values are equal."""

    name: Literal["scale"]


class Log(Frozen):
    """`ln(1 + x)`, computed in float64 and rounded once to float32; negative values count as 0."""

    name: Literal["log"]


class Passthrough(Frozen):
    """The value itself, as float32."""

    name: Literal["passthrough"]


class OneHot(Frozen):
    """A float32 vector of length `depth`: 1 at the value's position, zeros for a value outside [0, depth)."""

    name: Literal["one_hot"]
    depth: Annotated[int, Field(ge=2, le=10_000)]
    """Number of categories; values are integers in [0, depth)."""


class Identity(Frozen):
    """The value itself as a category, for integers in [0, size); all others share one more category."""

    name: Literal["identity"]
    size: Annotated[int, Field(ge=2)]
    """Number of values."""


class Bucketise(Frozen):
    """The quantile bucket of the value over the training split; a boundary belongs to the bucket above it."""

    name: Literal["bucketise"]
    buckets: Annotated[int, Field(ge=2, le=10_000)]
    """Number of buckets."""


class Vocabulary(Frozen):
    """The value's rank by frequency in the training split; unknown values are hashed into `oov_buckets`."""

    name: Literal["vocabulary"]
    top: Annotated[int, Field(ge=1)]
    """How many of the most frequent values are kept."""
    oov_buckets: Annotated[int, Field(ge=1)] = 1
    """Number of categories shared by the values outside the vocabulary."""


class Hash(Frozen):
    """The value's hash into one of `buckets` categories."""

    name: Literal["hash"]
    buckets: Annotated[int, Field(ge=2)]
    """Number of categories."""


NUMERIC = (Scale, Log, Passthrough)

Transform = Annotated[
    Scale | Log | Passthrough | OneHot | Identity | Bucketise | Vocabulary | Hash, Field(discriminator="name")
]

TRANSFORM_NAMES = ("scale", "log", "passthrough", "one_hot", "identity", "bucketise", "vocabulary", "hash")


class Fill(Frozen):
    """A row without the value gets this one."""

    fill: float | int | str | bool
    """The value, of the column's type."""


Missing = Literal["required", "mean", "own_category"] | Fill
"""What a row without the value gets: `required` means that every row must have it (an anomaly otherwise),
`mean` the training split's mean, `own_category` a category of its own, `{fill: VALUE}` that value."""
