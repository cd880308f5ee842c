"""Compiles the whole pipeline to a PipelineSpec, which Vertex AI and Kubeflow Pipelines run a container a component."""

import json
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig
from tfx.orchestration.kubeflow.v2.pipeline_builder import DEFAULT_IMAGE_PATH_KEY
from tfx.orchestration.pipeline import Pipeline

from modules.spec import Declaration, DeclarationError, InputError
from pipeline.curated_schema import read_schema, to_text, with_live_features
from pipeline.ingest.files import InputFile
from pipeline.orchestration.cluster import Cluster, Kubeflow, Step, Vertex
from pipeline.orchestration.digests import code_digest
from pipeline.orchestration.pipeline import PipelineInputs, Place, training_pipeline

_ENTRYPOINT = ("python", "-m", "pipeline.orchestration.container")
_RUN = "{{$.pipeline_job_name}}"
"""The orchestrator puts its own name of the run there."""
_LONGEST_BACKOFF = "3600s"

PipelineSpec = pipeline_spec_pb2.PipelineSpec
ResourceSpec = pipeline_spec_pb2.PipelineDeploymentConfig.PipelineContainerSpec.ResourceSpec


def vertex(declaration: Declaration, schema_file: Path, trials: int, settings: Vertex) -> str:
    """The run as Vertex AI takes it: the body of a request to `settings.address()`, JSON.

    Raises:
      DeclarationError: There is no curated schema.
      InputError: Data is where no container finds it.
    """
    spec = _compiled(declaration, schema_file, trials, settings)
    body = {
        "displayName": declaration.dataset,
        "labels": dict(settings.labels),
        "pipelineSpec": json_format.MessageToDict(spec),
        "runtimeConfig": {"gcsOutputDirectory": settings.pipeline_root},
        "serviceAccount": settings.service_account,
    }
    return json.dumps(body, indent=2, sort_keys=True) + "\n"


def kubeflow(declaration: Declaration, schema_file: Path, trials: int, settings: Kubeflow) -> str:
    """The pipeline as Kubeflow Pipelines takes it: YAML.

    Raises:
      DeclarationError: There is no curated schema; or a threshold compares with the last blessed model, which Kubeflow
        cannot look up.
      InputError: Data is where no container finds it.
    """
    compared = [name for name, bounds in declaration.evaluation.thresholds.items() if bounds.may_worsen_by is not None]
    if compared:
        raise DeclarationError(
            f"evaluation.thresholds: may_worsen_by of {' and '.join(compared)} asks for the last blessed model, and "
            "Kubeflow Pipelines has no look-up of artifacts. Leave it out with "
            f"{' '.join(f'--set evaluation.thresholds.{name}.may_worsen_by=null' for name in compared)} and give "
            "at_least or at_most; or run on Vertex AI."
        )
    spec = _compiled(declaration, schema_file, trials, settings)
    spec.default_pipeline_root = settings.pipeline_root
    return yaml.safe_dump(json_format.MessageToDict(spec), sort_keys=True)


def _graph(declaration: Declaration, schema_file: Path, trials: int, settings: Cluster) -> Pipeline:
    if not schema_file.exists():
        raise DeclarationError(f"{schema_file}: there is no curated schema. `twinbeam schema accept` writes one.")
    code = code_digest()
    inputs = PipelineInputs(
        declaration=declaration,
        schema=to_text(with_live_features(read_schema(schema_file), declaration)),
        files=[_named("data", declaration.data)],
        events=_events(declaration),
        content="",
        code=code,
        trials=trials,
        serving_dir=settings.serving,
        provenance={"run_id": _RUN, "declaration": declaration.fingerprint, "code": code},
    )
    strategy = LatestBlessedModelStrategy if isinstance(settings, Vertex) else None
    return training_pipeline(inputs, Place(settings.pipeline_root, None, strategy, cache=False, beam_args=()))


def _events(declaration: Declaration) -> list[tuple[str, InputFile]]:
    """The history of each source, as the container looks for it."""
    sources = declaration.live.sources if declaration.live else {}
    used = dict.fromkeys(feature.source for feature in declaration.live_features.values())
    return [
        (name, _named(f"live.sources.{name}.batch", batch) if (batch := sources[name].batch) else
         _named("data", declaration.data))
        for name in used
    ]  # fmt: skip


def _named(field: str, place: str) -> InputFile:
    """What `find_files` is asked for in the container, where it says the files and their formats.

    Raises:
      InputError: It is on this machine.
    """
    if not place.startswith(("gs://", "package:")):
        raise InputError(
            f"{field}: {place or 'nothing'}: no container finds that; accepted: gs://BUCKET/PATH as `data` is written, "
            "or package:NAME/PATH of the image."
        )
    return InputFile(place, "")


def _compiled(
    declaration: Declaration, schema_file: Path, trials: int, settings: Cluster
) -> pipeline_spec_pb2.PipelineSpec:
    graph = _graph(declaration, schema_file, trials, settings)
    graph.pipeline_info.pipeline_name = declaration.dataset.replace("_", "-")  # no other name is taken
    until = [f"--until={declaration.until}"] if declaration.until else []
    steps = {each.id: settings.of(each.id) for each in graph.components if isinstance(each, BaseComponent)}
    for component in graph.components:
        if component.id in steps:
            component.platform_config = _resources(steps[component.id])
    config = KubeflowV2DagRunnerConfig(
        default_image={name: step.image for name, step in steps.items()} | {DEFAULT_IMAGE_PATH_KEY: settings.image},
        default_commands=[*_ENTRYPOINT, f"--spans={declaration.spans}", *until],
        use_pipeline_spec_2_1=True,
    )
    job = KubeflowV2DagRunner(config).run(graph, write_out=False)
    spec = json_format.ParseDict(job["pipelineSpec"], PipelineSpec())
    for name, step in steps.items():
        task = spec.root.dag.tasks[name]
        task.caching_options.enable_cache = bool(step.cache)
        task.retry_policy.max_retry_count = step.retries
        task.retry_policy.backoff_duration.FromJsonString(f"{step.backoff_s}s")
        task.retry_policy.backoff_factor = 2.0
        task.retry_policy.backoff_max_duration.FromJsonString(_LONGEST_BACKOFF)
    return spec


def _resources(step: Step) -> Any:
    spec = ResourceSpec(cpu_limit=step.cpu, memory_limit=step.memory_gb)
    if step.accelerator:
        spec.accelerator.type = step.accelerator.type
        spec.accelerator.count = step.accelerator.count
    return spec
