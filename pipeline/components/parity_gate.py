"""ParityGate: proves on rows of this run that training and serving agree; otherwise nothing is pushed."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, component_spec, standard_artifacts
from tfx.types.system_executions import Evaluate
from tfx.utils import io_utils, path_utils

from modules.spec import Declaration
from pipeline.components.evaluator import CANDIDATE, SCORE, SCORES_DIR
from pipeline.components.example_gen import LiveValues
from pipeline.ingest.files import InputFile
from pipeline.parity.check import Check
from pipeline.parity.gate import Material, judge

CHECKS_FILE = "checks.json"
"""In the blessing's directory: what each check found; see `pipeline.parity.check.Check`."""

BLESSED_PROPERTY, BLESSED = "blessed", 1
"""The name and the value that TFX gives the blessing's property."""

_BLESSED_FILES = {True: "INFRA_BLESSED", False: "INFRA_NOT_BLESSED"}
_CHECKS = TypeAdapter(tuple[Check, ...])


class ParityGateSpec(component_spec.ComponentSpec):
    PARAMETERS = {
        "events": component_spec.ExecutionParameter(type=str),
        "declaration": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "live_values": component_spec.ChannelParameter(type=LiveValues),
        "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema),
        "transform_graph": component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
        "transformed_examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
    }
    OUTPUTS = {"blessing": component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing)}
    TYPE_ANNOTATION = Evaluate


class Executor(base_executor.BaseExecutor):
    """Makes the checks, keeps what they found, and blesses or does not."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        found = {name: artifact_utils.get_single_instance(artifacts) for name, artifacts in input_dict.items()}
        material = Material(
            events=[(source, InputFile(**file)) for source, file in json.loads(exec_properties["events"])],
            examples=found["examples"].uri,
            live_values=found["live_values"].uri,
            schema=io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(found["schema"].uri)),
            transform_graph=Path(found["transform_graph"].uri),
            transformed=found["transformed_examples"].uri,
            model=Path(path_utils.serving_model_path(found["model"].uri)),
            scores=Path(found["evaluation"].uri, SCORES_DIR),
            score=SCORE[CANDIDATE],
        )
        checks = judge(Declaration.model_validate_json(exec_properties["declaration"]), material)
        blessed = all(check.passed for check in checks)
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        Path(blessing.uri, CHECKS_FILE).write_bytes(_CHECKS.dump_json(checks, indent=2))
        Path(blessing.uri, _BLESSED_FILES[blessed]).touch()
        blessing.set_int_custom_property(BLESSED_PROPERTY, BLESSED if blessed else 0)


def read_checks(uri: str) -> tuple[Check, ...]:
    """What the checks of the blessing at `uri` found."""
    return _CHECKS.validate_json(Path(uri, CHECKS_FILE).read_bytes())


class ParityGate(base_component.BaseComponent):
    """Compares the features and scores of training with those of serving, bit by bit."""

    SPEC_CLASS = ParityGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        live_values: types.BaseChannel,
        schema: types.BaseChannel,
        transform_graph: types.BaseChannel,
        transformed_examples: types.BaseChannel,
        model: types.BaseChannel,
        evaluation: types.BaseChannel,
        events: list[tuple[str, InputFile]],
        declaration: Declaration,
    ) -> None:
        """Constructs the component.

        Args:
          examples: ExampleGen's.
          live_values: ExampleGen's: the same live features at full width.
          schema: The curated one.
          transform_graph: Transform's.
          transformed_examples: Transform's.
          model: The Trainer's.
          evaluation: The Evaluator's, with the score of each row.
          events: The files of events, each with its source; the examples are made from them, so that these alone tell
            the cache of their content.
          declaration: Its columns, live features and gate are read.
        """
        super().__init__(
            ParityGateSpec(
                examples=examples,
                live_values=live_values,
                schema=schema,
                transform_graph=transform_graph,
                transformed_examples=transformed_examples,
                model=model,
                evaluation=evaluation,
                events=json.dumps([(source, dataclasses.asdict(file)) for source, file in events]),
                declaration=declaration.only("gate").model_dump_json(),
                blessing=types.Channel(type=standard_artifacts.InfraBlessing),
            )
        )
