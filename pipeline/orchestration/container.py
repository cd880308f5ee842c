"""What a component's container runs on Vertex AI or Kubeflow: the component's executor, on files.

Artifacts have URIs there, and a bucket is found below a directory: gs://BUCKET/PATH at /gcs/BUCKET/PATH, where Vertex
AI mounts it, and where Kubeflow's launcher puts inputs and takes outputs from. A mounted bucket is no file system in
every respect: it renames no directory. So an executor reads its inputs there, and writes to a directory of the
container, which is copied when it is done. Beam's jobs run in the container, on the direct runner.
"""

import argparse
import dataclasses
import datetime
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx import types
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.orchestration.kubeflow.v2.compiler_utils import TITLE_TO_CLASS_PATH
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils as entrypoint
from tfx.orchestration.portable import outputs_utils
from tfx.types import standard_artifacts
from tfx.utils import import_utils, name_utils

from modules.spec import TwinbeamError
from pipeline.components.ablation import AblationResult
from pipeline.components.example_gen import LiveValues
from pipeline.ingest.files import InputFile, find_files
from pipeline.orchestration.beam_memo import remember_signatures_and_options
from pipeline.orchestration.pipeline import DIRECT_RUNNER

_MOUNTED = {"gs": "gcs", "s3": "s3", "minio": "minio"}
"""The directories of the schemes, as Kubeflow Pipelines has them."""
_URI = re.compile(f"({'|'.join(_MOUNTED)})://(.+)")
_FILES, _EVENTS = "files", "events"
"""The components' parameters that name files."""

Artifacts = dict[str, list[types.Artifact]]


def main(arguments: Sequence[str], root: Path = Path("/")) -> int:
    """Runs one component.

    Args:
      arguments: As `compiled` writes them and the orchestrator fills them in.
      root: Below which buckets are mounted.

    Returns:
      The exit code.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--spans", type=int, required=True)
    parser.add_argument("--until", type=datetime.date.fromisoformat)
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", required=True)
    given = parser.parse_args(arguments)
    TITLE_TO_CLASS_PATH.update(
        {kind.TYPE_NAME: name_utils.get_full_name(kind) for kind in (AblationResult, LiveValues)}
    )
    remember_signatures_and_options()
    asked = json_format.Parse(given.json_serialized_invocation_args, pipeline_spec_pb2.ExecutorInput())
    declared = json_format.Parse(given.json_serialized_inputs_spec_args, pipeline_spec_pb2.ComponentInputsSpec())
    names: dict[int, str] = {}
    inputs = entrypoint.parse_raw_artifact_dict(asked.inputs.artifacts, names)
    outputs = entrypoint.parse_raw_artifact_dict(asked.outputs.artifacts, names)
    parameters = entrypoint.parse_execution_properties(asked.inputs.parameter_values, asked.inputs.parameters, declared)
    executor = import_utils.import_class_by_path(given.executor_class_path)
    try:
        _look_for_files(parameters, lambda place: find_files(str(mounted(place, root)), given.spans, given.until))
        _run(executor, inputs, outputs, parameters, root)
    except TwinbeamError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 (this is where the orchestrator's log comes from)
        return error.exit_code
    _report(outputs, names, mounted(asked.outputs.output_file, root))
    return 0


def mounted(uri: str, root: Path) -> Path:
    """Where the container finds what a URI, or a path, names."""
    found = _URI.fullmatch(uri)
    return root / _MOUNTED[found[1]] / found[2] if found else Path(uri)


def _look_for_files(parameters: dict[str, Any], find: Callable[[str], list[InputFile]]) -> None:
    """Puts the files that there are in the place of those names under which they are to be looked for.

    Raises:
      InputError: See `find_files`.
    """
    if _FILES in parameters:
        named = json.loads(parameters[_FILES])
        parameters[_FILES] = json.dumps([dataclasses.asdict(file) for each in named for file in find(each["path"])])
    if _EVENTS in parameters:
        of_sources = json.loads(parameters[_EVENTS])
        found = [(source, dataclasses.asdict(file)) for source, each in of_sources for file in find(each["path"])]
        parameters[_EVENTS] = json.dumps(found)


def _run(
    executor: type[BaseExecutor], inputs: Artifacts, outputs: Artifacts, parameters: dict[str, Any], root: Path
) -> None:
    """Runs an executor between the mounted directories. Nothing is left in them if it fails."""
    for [artifact] in filter(None, inputs.values()):
        artifact.uri = str(mounted(artifact.uri, root))
    with tempfile.TemporaryDirectory(prefix="twinbeam-") as scratch:
        destinations = {}
        for name, [artifact] in outputs.items():
            destinations[name] = artifact.uri
            here = Path(scratch, name)
            here.mkdir()
            artifact.uri = str(here)
        temporary = Path(scratch, ".temporary")
        context: dict[str, Any] = {"tmp_dir": str(temporary), "unique_id": temporary.parent.name}
        if issubclass(executor, BaseBeamExecutor):
            context["beam_pipeline_args"] = list(DIRECT_RUNNER)  # TFX appends to it
        executor(executor.Context(**context)).Do(inputs, outputs, parameters)
        for name, [artifact] in outputs.items():
            shutil.copytree(artifact.uri, mounted(destinations[name], root), dirs_exist_ok=True)
            artifact.uri = destinations[name]


def _report(outputs: Artifacts, names: dict[int, str], file: Path) -> None:
    """Tells the orchestrator of the outputs."""
    outputs_utils.tag_output_artifacts_with_version(outputs)
    for [artifact] in outputs.values():
        if isinstance(artifact, standard_artifacts.ModelBlessing):
            entrypoint.refactor_model_blessing(artifact, names)  # by which the Baseline finds the model
    found = entrypoint.translate_executor_output(outputs, names)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json_format.MessageToJson(pipeline_spec_pb2.ExecutorOutput(artifacts=found)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
