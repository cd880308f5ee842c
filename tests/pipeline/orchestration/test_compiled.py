"""The pipeline as Vertex AI and Kubeflow take it, against the messages that these are."""

import json
import sys
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.cloud.aiplatform_v1.types import PipelineJob
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from modules.spec import Declaration, DeclarationError, InputError, load_declaration
from pipeline.orchestration.cluster import Component
from pipeline.orchestration.compiled import kubeflow, vertex
from tests.artifacts import taxi
from tests.conftest import ROOT
from tests.pipeline.orchestration.clusters import IMAGE, KUBEFLOW, OTHER, VERTEX

SCHEMA = ROOT / "schema" / "taxi" / "schema.pbtxt"
BASELINE = {"Baseline-model-blessing-resolver", "Baseline-model-resolver"}


def declared(*overrides: str) -> Declaration:
    return taxi("evaluation.ablation_seeds=2", *overrides)


@pytest.fixture(scope="module")
def body() -> Any:
    return json.loads(vertex(declared(), SCHEMA, 3, VERTEX))


@pytest.fixture(scope="module")
def spec(body: Any) -> Any:
    """Unknown fields and wrong types are errors."""
    return json_format.ParseDict(body["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())


@pytest.fixture(scope="module")
def containers(spec: Any) -> dict[str, Any]:
    """The containers of the components."""
    deployment = pipeline_spec_pb2.PipelineDeploymentConfig()
    json_format.ParseDict(json_format.MessageToDict(spec.deployment_spec), deployment)
    executors = {name: deployment.executors[found.executor_label] for name, found in spec.components.items()}
    return {name: each.container for name, each in executors.items() if each.HasField("container")}


def test_the_request_is_one_that_vertex_ai_knows(body: Any) -> None:
    job = json_format.ParseDict(body, PipelineJob.pb(PipelineJob()))
    assert job.service_account == VERTEX.service_account
    assert job.labels == {"team": "taxi"}
    assert job.runtime_config.gcs_output_directory == VERTEX.pipeline_root
    with pytest.raises(json_format.ParseError, match="serviceAcount"):
        json_format.ParseDict({"serviceAcount": ""}, PipelineJob.pb(PipelineJob()))
    assert VERTEX.address() == (
        "https://europe-west4-aiplatform.googleapis.com/v1/projects/my-project/locations/europe-west4/pipelineJobs"
    )


def test_all_components_are_there(spec: Any, containers: dict[str, Any]) -> None:
    assert containers.keys() == set(typing.get_args(Component))
    assert spec.root.dag.tasks.keys() == spec.components.keys() == containers.keys() | BASELINE


def test_inputs_are_outputs_of_earlier_tasks_and_of_the_same_type(spec: Any) -> None:
    tasks = spec.root.dag.tasks
    for name, task in tasks.items():
        for key, source in task.inputs.artifacts.items():
            output = source.task_output_artifact
            producer = spec.components[tasks[output.producer_task].component_ref.name]
            assert output.producer_task in task.dependent_tasks or name in BASELINE
            wanted = spec.components[name].input_definitions.artifacts[key].artifact_type
            assert producer.output_definitions.artifacts[output.output_artifact_key].artifact_type == wanted
    assert set(tasks["Pusher"].dependent_tasks) == {"Evaluator", "ParityGate", "Trainer"}
    assert "ExampleValidator" in tasks["Transform"].dependent_tasks


def test_each_component_has_its_image_resources_retries_and_cache(spec: Any, containers: dict[str, Any]) -> None:
    assert {name for name, each in containers.items() if each.image == OTHER} == {"Trainer"}
    assert {each.image for each in containers.values()} == {IMAGE, OTHER}
    cores = {name: each.resources.cpu_limit for name, each in containers.items()}
    assert cores == dict.fromkeys(cores, 2.0) | {"Trainer": 16.0}
    assert {each.resources.memory_limit for each in containers.values()} == {8.0}
    tasks = {name: task for name, task in spec.root.dag.tasks.items() if name in containers}
    retries = {name: task.retry_policy.max_retry_count for name, task in tasks.items()}
    assert retries == dict.fromkeys(retries, 3) | {"Pusher": 0}
    assert {task.retry_policy.backoff_duration.seconds for task in tasks.values()} == {60}
    cached = {name for name, task in spec.root.dag.tasks.items() if task.caching_options.enable_cache}
    assert cached == tasks.keys() - {"ExampleGen", "Pusher", "Transform"}, "no resolver either"


def test_nothing_of_this_machine_is_in_it(body: Any) -> None:
    text = json.dumps(body)
    for directory in {str(ROOT), sys.prefix, str(Path.home()), str(Path.cwd())}:
        assert f"{directory}/" not in text


def test_which_days_are_read() -> None:
    spans = vertex(declared("spans=7", "until=2016-11-30"), SCHEMA, 0, VERTEX)
    executors = json.loads(spans)["pipelineSpec"]["deploymentSpec"]["executors"]
    assert executors["ExampleGen_executor"]["container"]["command"] == [
        "python", "-m", "pipeline.orchestration.container", "--spans=7", "--until=2016-11-30"
    ]  # fmt: skip


def test_accelerators() -> None:
    trainer = {"type": "NVIDIA_TESLA_T4", "count": 2}
    settings = VERTEX.model_validate(VERTEX.model_dump() | {"components": {"Trainer": {"accelerator": trainer}}})
    executors = json.loads(vertex(declared(), SCHEMA, 0, settings))["pipelineSpec"]["deploymentSpec"]["executors"]
    found = {name: each["container"]["resources"].get("accelerator") for name, each in executors.items()
             if "container" in each}  # fmt: skip
    assert {name for name, accelerator in found.items() if accelerator} == {"Trainer_executor"}
    assert found["Trainer_executor"] == {"type": "NVIDIA_TESLA_T4", "count": "2"}


def test_kubeflow_looks_up_no_artifact() -> None:
    with pytest.raises(DeclarationError, match=r"may_worsen_by of auc and log_loss asks for the last blessed") as error:
        kubeflow(declared(), SCHEMA, 0, KUBEFLOW)
    advised = [word for word in str(error.value).split() if word.endswith("=null")]
    text = kubeflow(declared(*advised, "evaluation.thresholds.log_loss.at_most=1"), SCHEMA, 0, KUBEFLOW)
    found = json_format.ParseDict(yaml.safe_load(text), pipeline_spec_pb2.PipelineSpec())
    assert found.default_pipeline_root == KUBEFLOW.pipeline_root
    assert found.root.dag.tasks.keys() == set(typing.get_args(Component)) - {"Tuner"}
    assert "resolver" not in text


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data=trips.csv"], "data: trips.csv: no container finds that"),
        (['data=""'], "data: nothing: no container finds that"),
        (["live.sources.trips.batch=/data"], "live.sources.trips.batch: /data: no container"),
    ],
)
def test_data_of_this_machine_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}.*gs://BUCKET/PATH"):
        vertex(declared(*overrides), SCHEMA, 0, VERTEX)


def test_no_schema(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="there is no curated schema"):
        vertex(declared(), tmp_path / "schema.pbtxt", 0, VERTEX)


def test_a_name_that_no_orchestrator_takes_is_changed() -> None:
    other = load_declaration(ROOT / "schema" / "taxi" / "features.yaml", ["dataset=taxi_trips"])
    assert json.loads(vertex(other, SCHEMA, 0, VERTEX))["pipelineSpec"]["pipelineInfo"]["name"] == "taxi-trips"
