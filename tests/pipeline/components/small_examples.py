"""Examples of a few rows, as ExampleGen leaves them, for the components that read them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, standard_artifacts

from modules.spec import EVAL, ROW_ID, TRAIN, VALIDATION, Declaration, load_declaration
from pipeline.ingest.examples import ExampleWriter, to_examples
from pipeline.orchestration.pipeline import DIRECT_RUNNER
from tests.pipeline.cli.trips import DATASET

ROWS: dict[tuple[str, str], list[tuple[float, int | None, str]]] = {
    (TRAIN, "00000"): [(1.5, 60, "Cash"), (2.25, None, "Card"), (4.0, 600, "Cash"), (-0.0, 0, "Card")],
    (TRAIN, "00001"): [(8.125, 30, "Cash"), (3.3, None, "Dispute"), (100.1, 7, "Cash")],
    (VALIDATION, "00000"): [(7.7, None, "Card")],
    (EVAL, "00000"): [(1000.0, 90000, "Bitcoin"), (0.1, None, "Cash")],
}
"""fare, trip_seconds and payment_type of the rows of each file."""


def declaration() -> Declaration:
    return load_declaration(DATASET / "features.yaml")


def row_ids(split: str, file: str) -> list[str]:
    return [f"{split} {file} {row}" for row in range(len(ROWS[split, file]))]


def examples(directory: Path) -> Artifact:
    """Writes the rows."""
    for (split, file), rows in ROWS.items():
        fares, seconds, payments = zip(*rows, strict=True)
        columns = {
            "trip_start_timestamp": pa.array(range(len(rows)), pa.int64()),
            "fare": pa.array(fares, pa.float64()),
            "trip_seconds": pa.array(seconds, pa.int64()),
            "payment_type": pa.array(payments, pa.string()),
            "big_tip": pa.array([row % 2 for row in range(len(rows))], pa.int64()),
            ROW_ID: pa.array(row_ids(split, file), pa.string()),
        }
        writer = ExampleWriter(str(directory), file)
        writer.write(split, to_examples(columns, declaration()))
        writer.close()
    return artifact(standard_artifacts.Examples, directory)


def artifact(kind: type[Artifact], directory: Path) -> Artifact:
    made = kind()
    made.uri = str(directory)
    return made


def context(directory: Path) -> Any:
    """What TFX would make an executor with."""
    return BaseBeamExecutor.Context(
        beam_pipeline_args=list(DIRECT_RUNNER), tmp_dir=str(directory / "tmp"), unique_id="1"
    )
