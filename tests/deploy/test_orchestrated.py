"""Training and Flink on Kubernetes: against the schemas of Kubernetes and of Flink's operator, and against the base."""

import copy
import functools
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from filelock import FileLock

from modules.spec import TwinbeamError, errors
from pipeline.workspace import Workspace
from tests.conftest import ROOT
from tests.deploy.deployed import DEPLOY, Object, names, one, rendered, tag
from tests.deploy.test_kubernetes import RELEASES, secrets_of_the_page, validate

OPERATOR = "1.10.0"
_JAR = f"flink-kubernetes-operator-api-{OPERATOR}.jar"
_URL = f"https://repo1.maven.org/maven2/org/apache/flink/flink-kubernetes-operator-api/{OPERATOR}/{_JAR}"
_CRD = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"


@functools.cache
def operator() -> jsonschema.Draft7Validator:
    """Knows what a FlinkDeployment is; unknown fields are errors."""
    jar = ROOT / ".tools" / _JAR
    jar.parent.mkdir(exist_ok=True)
    with FileLock(jar.with_suffix(".lock")):
        if not jar.exists():
            try:
                with urllib.request.urlopen(_URL, timeout=60) as answer:
                    content = answer.read()
            except (urllib.error.URLError, TimeoutError) as error:
                pytest.skip(f"{_URL} cannot be had: {error}")
            jar.write_bytes(content)
    with zipfile.ZipFile(jar) as files:
        [version] = yaml.load(files.read(_CRD), yaml.CSafeLoader)["spec"]["versions"]
    return jsonschema.Draft7Validator(_strict(version["schema"]["openAPIV3Schema"]) | {"required": ["spec"]})


def _strict(schema: Any) -> Any:
    if isinstance(schema, dict):
        schema = {name: _strict(value) for name, value in schema.items()}
        kept = schema.get("x-kubernetes-preserve-unknown-fields")
        if isinstance(schema.get("properties"), dict) and not kept and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
    return schema


def judge(deployment: Object) -> None:
    operator().validate({"spec": deployment["spec"]})


@pytest.fixture(scope="module")
def flink() -> Object:
    return one(
        list(yaml.safe_load_all((DEPLOY / "kubernetes/flink/stream.yaml").read_text())), "FlinkDeployment", "flink"
    )


@pytest.fixture(scope="module")
def training() -> Object:
    return one(rendered("training"), "CronJob", "training")


def pod(training: Object) -> Object:
    found: Object = training["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("directory", ["training", "flink"])
def test_each_object_is_one_that_kubernetes_knows(directory: str, release: str) -> None:
    for each in rendered(directory):
        if each["kind"] == "FlinkDeployment":
            pytest.importorskip("kubernetes_validate")
            template = each["spec"]["taskManager"]["podTemplate"]
            validate(template | {"metadata": template["metadata"] | {"name": "flink"}}, release)
        else:
            validate(each, release)


def test_the_flink_deployment_is_one_that_the_operator_knows(flink: Object) -> None:
    judge(flink)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda spec: spec.update(flinkVersion="v1_99"), "v1_99"),
        (lambda spec: spec["taskManager"].update(replica=1), "replica"),
        (lambda spec: spec["taskManager"]["podTemplate"]["spec"].update(container=[]), "container"),
        (lambda spec: spec["flinkConfiguration"].update({"taskmanager.numberOfTaskSlots": 2}), "2 is not"),
    ],
    ids=["enum", "field", "field of the pod", "type"],
)
def test_the_operators_schema_finds_what_is_wrong(change: Any, message: str, flink: Object) -> None:
    wrong = copy.deepcopy(flink)
    change(wrong["spec"])
    with pytest.raises(jsonschema.ValidationError, match=message):
        judge(wrong)


def test_the_stream_on_flink_takes_the_place_of_the_other(flink: Object) -> None:
    objects = rendered("flink")
    base = {(each["kind"], each["metadata"]["name"]) for each in rendered("base")}
    here = {(each["kind"], each["metadata"]["name"]) for each in objects}
    assert base - here == {("Deployment", "stream")}
    assert here - base == {("FlinkDeployment", "flink"), ("NetworkPolicy", "redis-from-flink")}
    template = flink["spec"]["taskManager"]["podTemplate"]
    [stream] = template["spec"]["containers"]
    [alone] = one(rendered("base"), "Deployment", "stream")["spec"]["template"]["spec"]["containers"]
    of_the_engine = [word for word in stream["args"] if word.startswith(("--runner", "--flink", "--parallelism"))]
    of_the_process = [word for word in alone["args"] if word.startswith("--metrics")]
    assert [word for word in stream["args"] if word not in of_the_engine] == [
        word for word in alone["args"] if word not in of_the_process
    ], "the same job"
    assert f"--flink-master={flink['metadata']['name']}-rest:8081" in of_the_engine, (
        "the service that the operator makes"
    )
    slots = (
        int(flink["spec"]["flinkConfiguration"]["taskmanager.numberOfTaskSlots"])
        * flink["spec"]["taskManager"]["replicas"]
    )
    assert f"--parallelism={slots}" in of_the_engine
    assert flink["spec"]["taskManager"]["replicas"] == 1, "the job's Python is found at localhost"
    [secret] = stream["env"]
    reference = secret["valueFrom"]["secretKeyRef"]
    assert reference["key"] in secrets_of_the_page()[reference["name"]]
    [peer] = one(objects, "NetworkPolicy", "redis-from-flink")["spec"]["ingress"][0]["from"]
    assert peer["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    release = ".".join(tag(flink["spec"]["image"]).split(".")[:2])
    assert flink["spec"]["flinkVersion"] == f"v{release.replace('.', '_')}"


def test_training_pushes_to_where_the_model_server_reads(training: Object) -> None:
    [container] = pod(training)["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    [output] = (word.partition("=")[2] for word in container["args"] if word.startswith("--output="))
    assert mounts["training"] == output
    assert mounts["models"] == str(Workspace(Path(output)).serving("taxi").parent)
    server = one(rendered("base"), "Deployment", "tensorflow-serving")["spec"]["template"]["spec"]
    [read] = (mount["mountPath"] for mount in server["containers"][0]["volumeMounts"] if mount["name"] == "models")
    config = (DEPLOY / "kubernetes/base/models.config").read_text()
    assert f'base_path: "{read}/taxi"' in config
    claims = names(rendered("training"), "PersistentVolumeClaim") | names(rendered("base"), "PersistentVolumeClaim")
    used = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod(training)["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert used <= claims
    assert mounts.keys() == {volume["name"] for volume in pod(training)["volumes"]}
    [data] = (word for word in container["args"] if word.startswith("--data="))
    assert data.startswith(f"--data={mounts['rows']}/")


def test_training_is_tried_again_only_where_that_may_do(training: Object) -> None:
    spec = training["spec"]["jobTemplate"]["spec"]
    codes = {
        kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TwinbeamError)
    }
    again = {1, errors.OutputError.exit_code, errors.BusyError.exit_code, errors.StoreUnavailable.exit_code,
             errors.SourceUnavailable.exit_code}  # fmt: skip
    [rule, _] = spec["podFailurePolicy"]["rules"]
    assert set(rule["onExitCodes"]["values"]) == {2} | codes - again
    assert rule["onExitCodes"]["containerName"] == pod(training)["containers"][0]["name"]
    assert pod(training)["restartPolicy"] == "Never", "else there may be no podFailurePolicy"


def test_the_dag_retries_the_same_codes(training: Object) -> None:
    dag = (DEPLOY / "airflow/dags/twinbeam.py").read_text()
    [line] = (line for line in dag.splitlines() if line.startswith("AGAIN = frozenset("))
    again = set(map(int, line.partition("{")[2].partition("}")[0].split(",")))
    rules = training["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert again.isdisjoint(rules[0]["onExitCodes"]["values"])
    assert again | set(rules[0]["onExitCodes"]["values"]) == {*range(1, 13), 130}


def test_containers_may_do_no_more_than_they_must(training: Object, flink: Object) -> None:
    for found in (pod(training), flink["spec"]["taskManager"]["podTemplate"]["spec"]):
        [container] = found["containers"]
        assert found["securityContext"]["runAsNonRoot"] is True
        assert found["automountServiceAccountToken"] is False
        limits = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert limits.items() <= container["securityContext"].items()
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
