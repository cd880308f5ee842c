"""The gate: all checks of one run's model on rows of that run."""

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from modules.spec import SPLITS, Declaration
from pipeline.ingest.examples import example_files
from pipeline.ingest.files import InputFile
from pipeline.parity.check import Check
from pipeline.parity.contract import contract
from pipeline.parity.exported import Exported
from pipeline.parity.live import live_features
from pipeline.parity.sample import sample
from pipeline.parity.scores import scores
from pipeline.parity.transformed import transformed_features


@dataclasses.dataclass(frozen=True)
class Material:
    """What one run left behind."""

    events: Sequence[tuple[str, InputFile]]
    """The files of events, each with its source; empty without live features."""
    examples: str
    """ExampleGen's directory."""
    live_values: str
    """What its backfill wrote."""
    transformed: str
    """Transform's directory of examples."""
    model: Path
    """The SavedModel's directory."""
    scores: Path
    """The Evaluator's directory of kept scores."""
    score: str
    """Their column."""


def judge(declaration: Declaration, material: Material) -> tuple[Check, ...]:
    """The checks in their order, those of the live features only where there are any.

    Where the parts were made with different declarations, that is all that is said: their values mean different things.
    """
    values = sorted(map(str, Path(material.live_values).glob("*.parquet")))
    files = [*(path for _, path in example_files(material.examples, SPLITS)), *values]
    agreed = contract(declaration, files, material.model)
    return (*_compared(declaration, material), agreed) if agreed.passed else (agreed,)


def _compared(declaration: Declaration, material: Material) -> Iterator[Check]:
    rows = sample(material.examples, declaration)
    if declaration.live:
        with tempfile.TemporaryDirectory(prefix="twinbeam-gate-") as scratch:
            yield live_features(declaration, rows, Path(material.live_values), material.events, Path(scratch))
    model = Exported(material.model)
    yield transformed_features(declaration, rows, material.transformed, model)
    yield scores(declaration, rows, material.scores, material.score, model, material.model)
