"""A column of the data: its type, its role, and how it is transformed."""

from typing import Literal, Self

from pydantic import Field, model_validator

from modules.spec.field_error import FieldError
from modules.spec.transforms import NUMERIC, Bucketise, Fill, Hash, Identity, Missing, OneHot, Transform, Vocabulary
from modules.spec.typed import ColumnType, Typed

Role = Literal["feature", "key", "time", "label", "id", "ignored"]

_FILL_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "string": (str,), "bool": (bool,)}
FILL_LIMITS = {"int": 2**63 - 1, "float": 3.4028234663852886e38, "bool": 1}
"""What int64 and float32 hold."""


def check_transform(kind: ColumnType, transform: Transform) -> None:
    """Checks a transform against the type that it is given.

    Raises:
      FieldError: It does not suit it.
    """
    if kind == "string" and not isinstance(transform, (Vocabulary, Hash)):
        raise FieldError(f"vocabulary or hash for a string, not {transform.name}")
    if kind == "float" and isinstance(transform, (Vocabulary, Hash, Identity, OneHot)):
        raise FieldError(f"scale, log, passthrough or bucketise for a float, not {transform.name}")


class Column(Typed):
    """One column of the data."""

    role: Role
    """feature: a model input that the request carries; key: kept beside the row; time: the event's time;
    label: what the label is made from, never a model input; id: the row's identity; ignored: read and checked,
    then left out."""
    transform: Transform | None = None
    """How a feature becomes a model input."""
    missing: Missing = Field(default="required")
    """What a row without the value gets."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.role == "feature":
            self._check_feature()
        elif self.transform is not None:
            raise ValueError(f"no transform, because the role is {self.role} and only a feature is transformed")
        elif self.missing != "required":
            raise ValueError(f"no missing policy, because the role is {self.role} and only a feature has one")
        if self.role == "time" and self.type != "timestamp":
            raise ValueError(f"type: timestamp for the column with role: time, not {self.type}")
        return self

    def _check_feature(self) -> None:
        if self.type == "timestamp":
            raise ValueError("a feature of type int, float, string or bool; derive a number from the timestamp first")
        if self.transform is None:
            raise ValueError("a transform, such as {name: scale}, because the role is feature")
        check_transform(self.type, self.transform)
        kind = self.transform.name
        if self.missing == "mean" and not isinstance(self.transform, (*NUMERIC, Bucketise)):
            raise ValueError(f"missing: mean only with scale, log, passthrough or bucketise, not {kind}")
        if self.missing == "own_category" and isinstance(self.transform, NUMERIC):
            raise ValueError(
                f"missing: own_category only with bucketise, vocabulary, hash, identity or one_hot, not {kind}"
            )
        if isinstance(self.missing, Fill):
            value, allowed = self.missing.fill, _FILL_TYPES[self.type]
            if not isinstance(value, allowed) or (isinstance(value, bool) and self.type != "bool"):
                raise ValueError(f"a fill of the column's type, {self.type}, not {value!r}")
            if isinstance(value, (int, float)) and abs(value) > FILL_LIMITS[self.type]:
                raise ValueError(f"a fill whose size is at most {FILL_LIMITS[self.type]}, not {value!r}")

    @property
    def becomes_float32(self) -> bool:
        """Whether the examples hold the column as float32, so that a value must fit there."""
        return self.type == "float" and self.role in ("feature", "key")

    @property
    def optional(self) -> bool:
        """Whether a row may lack the value."""
        return self.missing != "required"

    @property
    def categories(self) -> int | None:
        """Number of categories of a categorical transform, the one for missing included; None for a numeric one."""
        own = int(self.missing == "own_category")
        if isinstance(self.transform, Vocabulary):
            return self.transform.top + self.transform.oov_buckets + own
        if isinstance(self.transform, Identity):
            return self.transform.size + 1 + own
        if isinstance(self.transform, (Bucketise, Hash)):
            return self.transform.buckets + own
        return None

    @property
    def width(self) -> int:
        """Length of a numeric transform's vector: `depth` (and one more for missing) for one_hot, else 1."""
        if isinstance(self.transform, OneHot):
            return self.transform.depth + int(self.missing == "own_category")
        return 1
