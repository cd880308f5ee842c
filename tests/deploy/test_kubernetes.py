"""The manifests: against the schemas of Kubernetes, and against each other."""

import copy
import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.deploy.deployed import (
    BASE,
    PAGE,
    Object,
    addresses,
    arguments,
    compose,
    container,
    names,
    one,
    pod,
    rendered,
    shell_words,
    tag,
    workloads,
    written,
)

RELEASES = ["1.31", "1.37"]
"""Of Kubernetes."""
ELSEWHERE = {"kafka"}
"""Hosts that the cluster has already."""


@pytest.fixture(params=["written", "base", "bucket"])
def objects(request: pytest.FixtureRequest) -> list[Object]:
    """The objects as the files have them, and as they are put together."""
    return written() if request.param == "written" else rendered(request.param)


def validate(found: Object, release: str) -> None:
    schemas = pytest.importorskip("kubernetes_validate")
    schemas.validate(found, release, strict=True)


@pytest.mark.parametrize("release", RELEASES)
def test_each_object_is_one_that_kubernetes_knows(objects: list[Object], release: str) -> None:
    for each in objects:
        validate(each, release)


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(replica=1),
        lambda spec: spec["template"]["spec"]["containers"][0].update(readynessProbe={}),
        lambda spec: spec["template"]["spec"]["containers"][0]["ports"][0].update(containerPort="grpc"),
        lambda spec: spec.pop("selector"),
    ],
    ids=["unknown field", "misspelt field", "wrong type", "missing field"],
)
def test_the_schemas_find_what_is_wrong(change: Any) -> None:
    deployment = copy.deepcopy(one(written(), "Deployment", "tensorflow-serving"))
    change(deployment["spec"])
    with pytest.raises(Exception, match=r"replica|readynessProbe|grpc|selector"):
        validate(deployment, RELEASES[0])


def test_every_file_is_deployed() -> None:
    in_files = {(each["kind"], each["metadata"]["name"]) for each in written()}
    assert in_files == {(each["kind"], each["metadata"]["name"]) for each in rendered("base")}
    listed = re.findall(r"[\w-]+\.\w+", (BASE / "kustomization.yaml").read_text())
    assert {path.name for path in BASE.iterdir()} <= {*listed, "kustomization.yaml"}


def test_selectors_meet_the_pods_they_are_for(objects: list[Object]) -> None:
    pods = {each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"] for each in workloads(objects)}
    for each in objects:
        name, spec = each["metadata"]["name"], each.get("spec", {})
        match each["kind"]:
            case "Deployment" | "StatefulSet" | "PodDisruptionBudget":
                selected = spec["selector"]["matchLabels"]
            case "Service":
                selected = spec["selector"]
            case "NetworkPolicy":
                selected = spec["podSelector"]["matchLabels"]
            case _:
                continue
        assert [pod for pod, labels in pods.items() if selected.items() <= labels.items()] == [name], each["kind"]


def test_ports_have_the_names_that_they_are_called_by(objects: list[Object]) -> None:
    ports = {
        each["metadata"]["name"]: {port["name"]: port["containerPort"] for port in container(each).get("ports", [])}
        for each in workloads(objects)
    }
    assert ports["tensorflow-serving"] == {"grpc": 8500, "rest": 8501}
    for each in workloads(objects):
        own = ports[each["metadata"]["name"]]
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container(each).get(kind, {})
            for how in ("httpGet", "tcpSocket", "grpc"):
                assert how not in probe or probe[how]["port"] in own.keys() | own.values()
    for each in objects:
        if each["kind"] == "Service":
            assert {port["targetPort"] for port in each["spec"]["ports"]} == set(ports[each["metadata"]["name"]])
        if each["kind"] == "NetworkPolicy":
            for rule in each["spec"]["ingress"]:
                assert {port["port"] for port in rule["ports"]} <= set(ports[each["metadata"]["name"]])


def test_network_policies_let_in_who_calls(objects: list[Object]) -> None:
    """Each pod whose arguments name a guarded service is among those that it lets in, at that port; no other is."""
    for policy in (each for each in objects if each["kind"] == "NetworkPolicy"):
        guarded = policy["metadata"]["name"]
        ports = {port["name"]: port["containerPort"] for port in container(_workload(objects, guarded))["ports"]}
        let_in = {
            (peer["podSelector"]["matchLabels"]["app"], ports[port["port"]])
            for rule in policy["spec"]["ingress"]
            for peer in rule["from"]
            if "podSelector" in peer
            for port in rule["ports"]
        }
        callers = {
            (each["metadata"]["name"], port)
            for each in workloads(objects)
            for host, port in addresses(arguments(container(each)))
            if host == guarded
        }
        assert let_in == callers != set()


def test_addresses_are_services(objects: list[Object]) -> None:
    services = {
        (each["metadata"]["name"], port["port"])
        for each in objects
        if each["kind"] == "Service"
        for port in each["spec"]["ports"]
    }
    called = {address for each in workloads(objects) for address in addresses(arguments(container(each)))}
    assert {address for address in called if address[0] not in ELSEWHERE} <= services
    assert called >= {("redis", 6379), ("tensorflow-serving", 8500)}


def test_autoscalers_have_a_target_and_its_request_to_go_by(objects: list[Object]) -> None:
    scaled = [each for each in objects if each["kind"] == "HorizontalPodAutoscaler"]
    assert {each["metadata"]["name"] for each in scaled} == {"gateway", "tensorflow-serving"}
    for each in scaled:
        target = each["spec"]["scaleTargetRef"]
        workload = one(objects, target["kind"], target["name"])
        assert workload["apiVersion"] == target["apiVersion"]
        assert "replicas" not in workload["spec"], "applying the manifest again would undo what the autoscaler did"
        assert "cpu" in container(workload)["resources"]["requests"]
        budget = one(objects, "PodDisruptionBudget", target["name"])
        assert budget["spec"]["minAvailable"] < each["spec"]["minReplicas"], "no node could be drained"


def test_what_is_mounted_is_there(objects: list[Object]) -> None:
    for each in workloads(objects):
        volumes = {volume["name"]: volume for volume in pod(each)["volumes"]}
        claimed = {claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", [])}
        assert {mount["name"] for mount in container(each)["volumeMounts"]} == volumes.keys() | claimed
        for volume in volumes.values():
            match volume:
                case {"configMap": {"name": name}}:
                    assert name in names(objects, "ConfigMap")
                case {"persistentVolumeClaim": {"claimName": name}}:
                    assert name in names(objects, "PersistentVolumeClaim")
                case {"secret": {"secretName": name}}:
                    assert name in secrets_of_the_page()
                case _:
                    assert volume.keys() == {"name", "emptyDir"}
    assert {each.get("serviceAccountName", "default") for each in map(pod, workloads(objects))} <= {
        "default",
        *names(objects, "ServiceAccount"),
    }


def test_files_in_arguments_are_mounted(objects: list[Object]) -> None:
    found = set()
    for each in workloads(objects):
        places = {mount["mountPath"]: mount["name"] for mount in container(each)["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod(each)["volumes"]}
        for argument in arguments(container(each)):
            directory, _, file = argument.rpartition("=")[2].rpartition("/")
            match volumes.get(places.get(directory, "")):
                case {"configMap": {"name": name}}:
                    assert file in one(objects, "ConfigMap", name)["data"]
                case {"secret": {"secretName": name}}:
                    assert file in secrets_of_the_page()[name]
                case _:
                    assert not argument.rpartition("=")[2].startswith("/etc"), argument
                    continue
            found.add(file)
    assert found == {"models.config", "monitoring.config", "redis.conf", "api-key", "tls.crt", "tls.key"}


def test_secrets_are_those_of_the_page(objects: list[Object]) -> None:
    used = set()
    for each in workloads(objects):
        for variable in container(each).get("env", []):
            reference = variable["valueFrom"]["secretKeyRef"]
            assert reference["key"] in secrets_of_the_page()[reference["name"]]
            assert f"$({variable['name']})" in "".join(arguments(container(each)))
            used.add(reference["name"])
        used |= {volume["secret"]["secretName"] for volume in pod(each)["volumes"] if "secret" in volume}
    assert used == secrets_of_the_page().keys()
    assert names(objects, "Secret") == set()


def test_containers_may_do_no_more_than_they_must(objects: list[Object]) -> None:
    for each in workloads(objects):
        assert pod(each)["securityContext"]["runAsNonRoot"] is True
        assert pod(each)["securityContext"]["runAsUser"] > 0
        assert pod(each)["automountServiceAccountToken"] is False
        assert container(each)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container(each)["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container(each)["resources"]["limits"]


def test_a_pod_outlives_the_connections_to_it(objects: list[Object]) -> None:
    """Clients are told to connect anew before preStop is over, and it is over before the pod is killed."""
    deployment = one(objects, "Deployment", "tensorflow-serving")
    [age_ms] = (
        int(each.rpartition("=")[2]) for each in arguments(container(deployment)) if "max_connection_age_ms" in each
    )
    sleep_s = int(container(deployment)["lifecycle"]["preStop"]["exec"]["command"][1])
    assert 1.1 * age_ms / 1000 < sleep_s < pod(deployment)["terminationGracePeriodSeconds"]
    assert pod(deployment)["shareProcessNamespace"] is True


def test_images_are_pinned_and_those_of_compose(objects: list[Object]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    in_compose = {each["image"] for each in compose()["services"].values()}
    images = {container(each)["image"].removeprefix("registry.example.com/") for each in workloads(objects)}
    assert images == in_compose
    assert f"twinbeam:{project['version']}" in images
    assert not {"latest", "nightly"} & {tag(image) for image in images}


def test_models_come_from_the_bucket_alone() -> None:
    objects = rendered("bucket")
    deployment = one(objects, "Deployment", "tensorflow-serving")
    assert names(objects, "PersistentVolumeClaim") == set()
    assert {mount["mountPath"] for mount in container(deployment)["volumeMounts"]} == {
        "/etc/tensorflow-serving",
        "/tmp",
    }
    config = one(objects, "ConfigMap", "tensorflow-serving")["data"]
    assert config.keys() == {"models.config", "monitoring.config"}
    assert 'base_path: "gs://' in config["models.config"]
    assert "--file_system_poll_wait_seconds=30" in arguments(container(deployment))


@pytest.mark.parametrize("release", RELEASES)
def test_the_publisher_writes_to_the_models_volume(release: str) -> None:
    [publisher] = yaml.safe_load_all((BASE.parent / "publisher.yaml").read_text())
    validate(publisher, release)
    [volume] = publisher["spec"]["volumes"]
    assert {volume["persistentVolumeClaim"]["claimName"]} == names(written(), "PersistentVolumeClaim")
    [found], server = publisher["spec"]["containers"], one(written(), "Deployment", "tensorflow-serving")
    assert found["image"] == container(server)["image"]
    assert found["volumeMounts"] == [{"name": volume["name"], "mountPath": "/models"}]
    owner = {key: publisher["spec"]["securityContext"][key] for key in ("runAsUser", "runAsGroup")}
    assert owner.items() <= pod(server)["securityContext"].items()
    moved = [words[-2:] for words in shell_words(PAGE) if words[:4] == ["kubectl", "exec", "publisher", "--"]]
    assert moved == [["-p", "/models/taxi"], ["/models/taxi/incoming", "/models/taxi/2"]]


def secrets_of_the_page() -> dict[str, set[str]]:
    """The keys of each secret that docs/deploy.md has the reader make."""
    found = {}
    for words in shell_words(PAGE):
        match words:
            case ["kubectl", "create", "secret", "tls", name, *_]:
                found[name] = {"tls.crt", "tls.key"}
            case ["kubectl", "create", "secret", "generic", name, *options]:
                found[name] = {each.split("=")[1] for each in options if each.startswith("--from-")}
    return found


def _workload(objects: list[Object], name: str) -> Object:
    [found] = (each for each in workloads(objects) if each["metadata"]["name"] == name)
    return found
