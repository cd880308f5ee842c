"""The page that a run leaves behind."""

from pathlib import Path

from modules.spec import Declaration
from pipeline.orchestration.local_runner import Outputs
from pipeline.orchestration.record import RunRecord


def write_report(record: RunRecord, declaration: Declaration, outputs: dict[str, Outputs], path: Path) -> None:
    """Writes the report."""
    path.write_text(record.model_dump_json())
