"""What `deploy/` says, read."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "kubernetes" / "base"
PAGE = ROOT / "docs" / "deploy.md"

Object = dict[str, Any]
"""A Kubernetes object, or a part of one."""


def compose() -> Object:
    """The compose file."""
    found: Object = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def written() -> list[Object]:
    """The objects of the base as its files have them, with the ConfigMaps that its kustomization makes of files."""
    kustomization = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    found = [each for name in kustomization["resources"] for each in yaml.safe_load_all((BASE / name).read_text())]
    for made in kustomization["configMapGenerator"]:
        data = {name: (BASE / name).read_text() for name in made["files"]}
        found.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": made["name"]}, "data": data})
    return found


def rendered(name: str) -> list[Object]:
    """The objects that Kubernetes would be given, of `base` or of an overlay; no cluster is asked."""
    if (kubectl := shutil.which("kubectl")) is None:
        pytest.skip("kubectl is not installed, which puts manifests together")
    command = [kubectl, "kustomize", str(DEPLOY / "kubernetes" / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def one(objects: list[Object], kind: str, name: str) -> Object:
    """The object of that kind and name."""
    [found] = (each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def names(objects: list[Object], kind: str) -> set[str]:
    """The names of all objects of a kind."""
    return {each["metadata"]["name"] for each in objects if each["kind"] == kind}


def workloads(objects: list[Object]) -> list[Object]:
    """What runs pods."""
    return [each for each in objects if each["kind"] in ("Deployment", "StatefulSet")]


def pod(workload: Object) -> Object:
    """The pods' spec."""
    found: Object = workload["spec"]["template"]["spec"]
    return found


def container(workload: Object) -> Object:
    """The pods' only container."""
    [found] = pod(workload)["containers"]
    return dict(found)


def arguments(found: Object) -> list[str]:
    """A container's command line, without its image's entry point; a service's is the same."""
    command = found.get("command", [])
    return [*command, *found["args"]] if "args" in found else list(command)


def tag(image: str) -> str:
    """What stands behind the colon of an image's name."""
    match = re.fullmatch(r"(?:[\w.-]+(?::\d+)?/)*[\w-]+:([\w.-]+)", image)
    assert match, f"{image} has no tag"
    return match[1]


def serving_release() -> str:
    """The release of TensorFlow Serving that is deployed."""
    return tag(compose()["services"]["tensorflow-serving"]["image"])


def addresses(command: list[str]) -> Iterator[tuple[str, int]]:
    """The hosts and ports that a command line names, itself left out."""
    for argument in command:
        for host, port in re.findall(r"(?:@|//|=)([a-z][a-z.-]*):(\d+)(?=/|$)", argument):
            yield host, int(port)


def shell_words(page: Path) -> Iterator[list[str]]:
    """The commands of a page's shell snippets, in words."""
    for block in re.findall(r"^```(?:shell|console)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.removeprefix("$ ").split()
