"""What a finished run left behind, found by its names on the disk."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from modules.spec import EVAL, Declaration, load_declaration
from pipeline.ingest.examples import values_of
from tests.conftest import ROOT


def taxi(*overrides: str) -> Declaration:
    """The repository's own declaration."""
    return load_declaration(ROOT / "schema" / "taxi" / "features.yaml", overrides)


def artifact(output: Path, component: str, name: str) -> Path:
    """The newest artifact of a component."""
    return max((output / "artifacts" / component / name).iterdir(), key=lambda path: int(path.name))


def eval_columns(output: Path, names: list[str]) -> dict[str, pa.Array]:
    """Columns of the eval split's examples, null where a row has no value."""
    [path] = (artifact(output, "ExampleGen", "examples") / f"Split-{EVAL}").iterdir()
    table = pq.read_table(path)
    return {name: values_of(table, name) for name in names}
