"""Ablation: what the live features add to the model, over several seeds."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, component_spec, standard_artifacts
from tfx.types.system_executions import Process
from tfx.utils import io_utils

from modules.ablation import ablate
from modules.paired import Pair
from modules.spec import SPLITS, Declaration
from modules.trainer import with_hyperparameters

PAIRS_FILE = "pairs.json"
"""In the ablation's directory, one object a seed: see `modules.paired.Pair`."""


class AblationResult(types.Artifact):
    """Metrics with and without the live features, seed by seed."""

    TYPE_NAME = "twinbeam.AblationResult"


class AblationSpec(component_spec.ComponentSpec):
    PARAMETERS = {
        "declaration": component_spec.ExecutionParameter(type=str),
        "seeds": component_spec.ExecutionParameter(type=int),
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "hyperparameters": component_spec.ChannelParameter(type=standard_artifacts.HyperParameters, optional=True),
    }
    OUTPUTS = {"ablation": component_spec.ChannelParameter(type=AblationResult)}
    TYPE_ANNOTATION = Process


class Executor(base_executor.BaseExecutor):
    """Trains with the hyperparameters of the Trainer."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        declaration = Declaration.model_validate_json(exec_properties["declaration"])
        training = declaration.training
        if tuned := input_dict.get("hyperparameters"):
            found = io_utils.read_string_file(io_utils.get_only_uri_in_dir(artifact_utils.get_single_uri(tuned)))
            training = with_hyperparameters(training, json.loads(found)["values"])
        examples = artifact_utils.get_single_uri(input_dict["examples"])
        files = {split: [str(Path(examples, f"Split-{split}", "*"))] for split in SPLITS}
        pairs = ablate(declaration, training, files, exec_properties["seeds"])
        path = Path(artifact_utils.get_single_uri(output_dict["ablation"]), PAIRS_FILE)
        path.write_text(json.dumps([dataclasses.asdict(pair) for pair in pairs]))


def read_pairs(uri: str) -> list[Pair]:
    """The metrics at `uri`."""
    return [Pair(**pair) for pair in json.loads(Path(uri, PAIRS_FILE).read_text())]


class Ablation(base_component.BaseComponent):
    """Trains the model with and without the live features."""

    SPEC_CLASS = AblationSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        hyperparameters: types.BaseChannel | None,
        declaration: Declaration,
        seeds: int,
    ) -> None:
        """Constructs the component.

        Args:
          examples: Transform's: the model's inputs.
          hyperparameters: The Tuner's, if there is one.
          declaration: Has live features; its columns, label and training are read.
          seeds: With how many to train on either side.
        """
        super().__init__(
            AblationSpec(
                examples=examples,
                hyperparameters=hyperparameters,
                declaration=declaration.only("training").model_dump_json(),
                seeds=seeds,
                ablation=types.Channel(type=AblationResult),
            )
        )
