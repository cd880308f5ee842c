"""What a run was made of and what it gave: shown at its end, kept beside it, and read by the next one."""

import math
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, PlainSerializer

from modules.paired import Comparison
from modules.spec.frozen import Frozen
from pipeline.parity.check import Check

MetricValue = Annotated[
    float,
    Field(allow_inf_nan=True),
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(lambda value: None if math.isnan(value) else value, when_used="json"),
]
"""A metric; NaN, null in JSON, where it is undefined: precision has no value where no row is predicted positive."""


class ComponentRecord(Frozen):
    """How one component went."""

    name: str
    seconds: float
    """Wall time."""
    cached: bool
    """Whether its last output was reused."""
    figure: str
    """The figure that matters, in words."""


class RunRecord(Frozen):
    """One run that ended with a model, pushed or withheld; only the pushed ones' are kept."""

    run_id: str
    """Its start, UTC."""
    dataset: str
    digest: str
    """Of everything that the result depends on; the same digest gives the same result."""
    data: str
    """Where the rows came from."""
    content: str
    """Digest of the input files' content."""
    code: str
    """Digest of the code and of the lock."""
    declaration: str
    """The declaration's fingerprint."""
    seed: int
    version: int | None
    """The pushed version; None if the model was withheld."""
    model: str
    """The pushed model's directory; of a withheld one the Trainer's."""
    rows: dict[str, int]
    """Rows by split."""
    live_features: int
    """How many of the model's inputs are live features."""
    events: dict[str, int]
    """Events by source, from which they were computed."""
    not_counted: tuple[str, ...]
    """Which of the events do not count, and why."""
    ablation: tuple[Comparison, ...]
    """The model with its live features beside the same without them, by metric; empty if that was not tried."""
    parity: tuple[Check, ...]
    """What the parity gate compared."""
    metrics: dict[str, MetricValue]
    """The model's metrics on the eval split."""
    example: dict[str, float | int | str]
    """The features of one row of the eval split."""
    seconds: float
    """Wall time."""
    components: tuple[ComponentRecord, ...]

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The record at `path`; None if there is none, or if another release wrote it."""
        try:
            return cls.model_validate_json(path.read_text())
        except (OSError, ValueError):
            return None

    def write(self, path: Path) -> None:
        """Replaces the record at `path` at once."""
        written = path.with_suffix(".tmp")
        written.write_text(self.model_dump_json(indent=2))
        written.replace(path)
