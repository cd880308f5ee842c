"""Runs a PipelineSpec as Vertex AI does, on this machine: a container's command is called in this process.

It knows what our pipelines use of the specification: tasks with artifacts and constants as inputs; and no caching.
"""

import dataclasses
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.orchestration import container
from tests.conftest import ROOT

RUN = "a-run-of-tests"
_EXECUTOR_INPUT, _JOB_NAME = "{{$}}", "{{$.pipeline_job_name}}"


@dataclasses.dataclass
class Orchestrator:
    """One run of a pipeline."""

    spec: Any
    """The PipelineSpec."""
    root: Path
    """Where buckets are mounted."""
    artifacts: str
    """The URI below which artifacts are."""

    def __post_init__(self) -> None:
        self.outputs: dict[str, dict[str, Any]] = {}
        self._executors = pipeline_spec_pb2.PipelineDeploymentConfig()
        json_format.ParseDict(json_format.MessageToDict(self.spec.deployment_spec), self._executors)

    def run(self) -> Iterator[tuple[str, int]]:
        """Runs the tasks in order, up to the first that fails: (task, exit code)."""
        before = {
            name: {
                *task.dependent_tasks,
                *(each.task_output_artifact.producer_task for each in task.inputs.artifacts.values()),
            }
            for name, task in self.spec.root.dag.tasks.items()
        }
        for name in graphlib.TopologicalSorter(before).static_order():
            code = self.task(name)
            yield name, code
            if code:
                return

    def task(self, name: str) -> int:
        """Runs one task on the outputs of those before it; its exit code."""
        task = self.spec.root.dag.tasks[name]
        component = self.spec.components[task.component_ref.name]
        executor = self._executors.executors[component.executor_label]
        if executor.WhichOneof("spec") == "resolver":
            keys = component.output_definitions.artifacts
            self.outputs[name] = {key: pipeline_spec_pb2.ArtifactList() for key in keys}
            return 0  # there is no earlier run
        given = pipeline_spec_pb2.ExecutorInput()
        for key, source in task.inputs.artifacts.items():
            output = source.task_output_artifact
            given.inputs.artifacts[key].CopyFrom(self.outputs[output.producer_task][output.output_artifact_key])
        for key, value in task.inputs.parameters.items():
            constant = given.inputs.parameter_values[key]
            constant.CopyFrom(value.runtime_value.constant)
            if constant.WhichOneof("kind") == "string_value":
                constant.string_value = constant.string_value.replace(_JOB_NAME, RUN)
        place = f"{self.artifacts}/{RUN}/{name}"
        for key, made in component.output_definitions.artifacts.items():
            artifact = given.outputs.artifacts[key].artifacts.add()
            artifact.name = f"projects/1/artifacts/{name}-{key}"
            artifact.uri = f"{place}/{key}"
            artifact.type.CopyFrom(made.artifact_type)
        given.outputs.output_file = f"{place}/executor_output.json"
        filled = json_format.MessageToJson(given)
        line = [*executor.container.command, *executor.container.args]
        assert line[:3] == ["python", "-m", container.__spec__.name]
        arguments = [filled if word == _EXECUTOR_INPUT else word for word in line[3:]]
        with mock.patch.object(sys, "argv", ["container", *arguments]):  # TFX looks there too
            code = self.call(arguments)
        if code == 0:
            self.outputs[name] = self._told(given)
        return code

    def call(self, arguments: list[str]) -> int:
        """What a container does."""
        return container.main(arguments, self.root)

    def _told(self, given: Any) -> dict[str, Any]:
        """The outputs, with what the container says of them."""
        file = container.mounted(given.outputs.output_file, self.root)
        said = json_format.Parse(file.read_text(), pipeline_spec_pb2.ExecutorOutput())
        outputs = {}
        for key, artifacts in given.outputs.artifacts.items():
            [told] = said.artifacts[key].artifacts
            [known] = artifacts.artifacts
            assert (told.name, told.uri) == (known.name, known.uri)
            known.metadata.CopyFrom(told.metadata)
            outputs[key] = artifacts
        return outputs


class Processes(Orchestrator):
    """Calls each command as a process of its own; artifacts are at paths, for buckets are mounted at the root alone."""

    def call(self, arguments: list[str]) -> int:
        line = [sys.executable, "-m", "pipeline.orchestration.container", *arguments]
        return subprocess.run(line, cwd=ROOT, check=False).returncode
