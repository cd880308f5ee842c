"""What ExampleValidator found, and where the curated schema says something else than the data."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.types import artifact_utils

from pipeline.orchestration.local_runner import Outputs
from pipeline.report.labels import label


@dataclasses.dataclass(frozen=True)
class Anomaly:
    """A column of a split that contradicts the schema."""

    split: str
    column: str
    description: str


@dataclasses.dataclass(frozen=True)
class Difference:
    """A column on which the data and the curated schema say something else."""

    column: str
    inferred: str
    curated: str


def anomalies(outputs: Outputs) -> tuple[Anomaly, ...]:
    """ExampleValidator's anomalies, by split and column."""
    artifact = artifact_utils.get_single_instance(outputs["anomalies"])
    rows = []
    for split in artifact_utils.decode_split_names(artifact.split_names):
        found = anomalies_pb2.Anomalies()
        found.ParseFromString(Path(artifact.uri, f"Split-{split}", DEFAULT_FILE_NAME).read_bytes())
        if found.HasField("dataset_anomaly_info"):
            rows.append(Anomaly(split, "(all)", label(found.dataset_anomaly_info.description, 300)))
        rows += [
            Anomaly(split, label(name), label(info.description, 300))
            for name, info in sorted(found.anomaly_info.items())
        ]
    return tuple(rows)


def differences(rows: Iterable[tuple[str, str, str]]) -> tuple[Difference, ...]:
    """`curated_schema.differences`, fit to be shown."""
    return tuple(Difference(label(name), inferred, curated) for name, inferred, curated in rows)
