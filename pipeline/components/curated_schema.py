"""CuratedSchema: the schema that the data is held to, as an artifact. It is a value, so the cache knows its content."""

from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, component_spec, standard_artifacts

_FILE = "schema.pbtxt"


class CuratedSchemaSpec(component_spec.ComponentSpec):
    PARAMETERS = {"text": component_spec.ExecutionParameter(type=str)}
    INPUTS: dict[str, Any] = {}
    OUTPUTS = {"schema": component_spec.ChannelParameter(type=standard_artifacts.Schema)}


class Executor(base_executor.BaseExecutor):
    """Writes the schema."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        uri = artifact_utils.get_single_uri(output_dict["schema"])
        Path(uri).mkdir(parents=True, exist_ok=True)
        Path(uri, _FILE).write_text(exec_properties["text"], encoding="utf-8")


class CuratedSchema(base_component.BaseComponent):
    """The curated schema in text format."""

    SPEC_CLASS = CuratedSchemaSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, text: str) -> None:
        """Constructs the component.

        Args:
          text: The schema, what the declaration says of live features included.
        """
        super().__init__(CuratedSchemaSpec(text=text, schema=types.Channel(type=standard_artifacts.Schema)))
