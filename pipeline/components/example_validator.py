"""ExampleValidator: stops the run where the data contradicts the curated schema, and says in how many rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx import types
from tfx.components.example_validator import executor as stock
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import artifact_utils, component_spec, standard_artifacts
from tfx.types.system_executions import Process
from tfx.utils import io_utils

from modules.spec import AnomalyError
from pipeline.ingest.examples import values_of

_TYPES = {
    schema_pb2.INT: pa.int64(),
    schema_pb2.FLOAT: pa.float32(),
    schema_pb2.BYTES: pa.large_binary(),
}


class ExampleValidatorSpec(component_spec.ComponentSpec):
    PARAMETERS = {"exclude_splits": component_spec.ExecutionParameter(type=str, optional=True)}
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {"anomalies": component_spec.ChannelParameter(type=standard_artifacts.ExampleAnomalies)}
    TYPE_ANNOTATION = Process


class Executor(stock.Executor):
    """The stock one records anomalies and lets the run go on."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> Any:
        result = super().Do(input_dict, output_dict, exec_properties)
        anomalies = artifact_utils.get_single_instance(output_dict["anomalies"])
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        schema_uri = artifact_utils.get_single_uri(input_dict["schema"])
        schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema_uri))
        table: list[tuple[str, ...]] = [("split", "feature", "what is wrong", "rows")]
        for split in artifact_utils.decode_split_names(anomalies.split_names):
            found = anomalies_pb2.Anomalies()
            found.ParseFromString(Path(anomalies.uri, f"Split-{split}", stock.DEFAULT_FILE_NAME).read_bytes())
            for name, info in sorted(found.anomaly_info.items()):
                rows = _rows_against(schema, name, Path(examples.uri, f"Split-{split}"))
                table.append((split, name, info.description, f"{rows:,}"))
            if found.HasField("dataset_anomaly_info"):
                table.append((split, "(all)", found.dataset_anomaly_info.description, ""))
        if len(table) > 1:
            raise AnomalyError(
                "the data contradicts the curated schema:\n" + _aligned(table) + "\nMend the data; or, if the data is "
                "right, take it into the schema with `twinbeam schema accept`, look at the change, and run again."
            )
        return result


def _rows_against(schema: schema_pb2.Schema, name: str, split: Path) -> int:
    """How many rows of a split break the schema's rules for one feature; all of them if it has no rules for it."""
    feature = next((feature for feature in schema.feature if feature.name == name), None)
    rows = present = broken = 0
    for path in split.glob("*.parquet"):
        rows += pq.read_metadata(path).num_rows
        if name in pq.read_schema(path).names:
            values = values_of(pq.read_table(path, columns=[name]), name).drop_null()
            present += len(values)
            broken += len(values) - (int(_allowed(values, feature, schema).sum()) if feature else 0)
    if feature is None:
        return rows
    enough = present >= max(feature.presence.min_count, feature.presence.min_fraction * rows)
    return broken if enough else broken + rows - present


def _allowed(values: pa.Array, feature: schema_pb2.Feature, schema: schema_pb2.Schema) -> np.ndarray:
    """Which values are of the feature's type and in its domain: bool, shape (values,)."""
    if values.type != _TYPES[feature.type]:
        return np.zeros(len(values), bool)
    domains = {domain.name: domain for domain in schema.string_domain}
    kind = feature.WhichOneof("domain_info")
    if kind in ("domain", "string_domain"):
        known = domains[feature.domain] if kind == "domain" else feature.string_domain
        return np.asarray(pc.is_in(values, pa.array(known.value, pa.string()).cast(values.type)))
    allowed = np.ones(len(values), bool)
    if kind in ("int_domain", "float_domain"):
        bounds, numbers = getattr(feature, kind), np.asarray(values)
        if bounds.HasField("min"):
            allowed &= numbers >= bounds.min
        if bounds.HasField("max"):
            allowed &= numbers <= bounds.max
    return allowed


def _aligned(table: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


class ExampleValidator(base_component.BaseComponent):
    """Validates the statistics of all splits against the schema."""

    SPEC_CLASS = ExampleValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, examples: types.BaseChannel, statistics: types.BaseChannel, schema: types.BaseChannel) -> None:
        super().__init__(
            ExampleValidatorSpec(
                examples=examples,
                statistics=statistics,
                schema=schema,
                exclude_splits="null",
                anomalies=types.Channel(type=standard_artifacts.ExampleAnomalies),
            )
        )
