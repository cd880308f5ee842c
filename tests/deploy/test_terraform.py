"""The Terraform: formatted, and every name that it uses is one that the provider has."""

import copy
import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hcl2.api import loads

from pipeline.orchestration.cluster import read_vertex
from pipeline.stores.bigtable import _FAMILIES
from tests.artifacts import taxi
from tests.conftest import ROOT
from tests.deploy.provider import PROVIDER, Resource, resource

DIRECTORY = ROOT / "deploy" / "terraform"
_OF_TERRAFORM = {"for_each", "count", "depends_on", "lifecycle", "provider"}


@functools.cache
def parsed() -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for path in sorted(DIRECTORY.glob("*.tf")):
        for kind, blocks in loads(path.read_text()).items():
            found.setdefault(kind, []).extend(blocks)
    return found


def resources(blocks: list[Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(type, name, what it is given)."""
    for block in blocks:
        for kind, named in block.items():
            for name, body in named.items():
                yield kind, name, body


def mistakes(blocks: list[Any]) -> list[str]:
    """Names that the provider does not have, and what is missing."""
    found = []
    for kind, name, body in resources(blocks):
        try:
            taken = resource(kind)
        except KeyError:
            found.append(f"{kind}: no such resource")
            continue
        found += _mistakes(f"{kind}.{name}", taken, taken.block, body)
    return found


def _mistakes(where: str, taken: Resource, block: Any, body: dict[str, Any]) -> Iterator[str]:
    dynamic = {name: inner["content"] for each in body.get("dynamic", []) for name, inner in each.items()}
    given = {name: value for name, value in body.items() if name not in {*_OF_TERRAFORM, "dynamic"}} | dynamic
    yield from (f"{where}: {name} is missing" for name in sorted(block.required - given.keys()))
    for name, value in given.items():
        if name not in block.blocks:
            yield f"{where}: {name} is no argument"
        elif (inner := block.blocks[name]) and isinstance(value, list):
            for each in value:
                yield from _mistakes(f"{where}.{name}", taken, taken.inner(inner), each)
        elif bool(inner) != isinstance(value, list) and not isinstance(value, list):
            yield f"{where}: {name} is a block"


def test_every_argument_is_one_that_the_provider_takes() -> None:
    assert mistakes(parsed()["resource"]) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda body: body.update(retention="1s"), "google_pubsub_topic.dead_letters: retention is no argument"),
        (lambda body: body.pop("name"), "google_pubsub_topic.dead_letters: name is missing"),
        (
            lambda body: body["message_storage_policy"][0].update(regions=[]),
            "google_pubsub_topic.dead_letters.message_storage_policy: regions is no argument",
        ),
        (
            lambda body: body["message_storage_policy"][0].clear(),
            "google_pubsub_topic.dead_letters.message_storage_policy: allowed_persistence_regions is missing",
        ),
        (
            lambda body: body.update(message_storage_policy="x"),
            "google_pubsub_topic.dead_letters: message_storage_policy is a block",
        ),
    ],
    ids=["unknown", "missing", "unknown inside", "missing inside", "no block"],
)
def test_the_check_finds_what_is_wrong(change: Any, expected: str) -> None:
    blocks = copy.deepcopy(parsed()["resource"])
    [body] = (body for kind, name, body in resources(blocks) if (kind, name) == ("google_pubsub_topic", "dead_letters"))
    change(body)
    assert mistakes(blocks) == [expected]


def test_every_attribute_that_is_read_is_there() -> None:
    text = "\n".join(path.read_text() for path in DIRECTORY.glob("*.tf"))
    declared = {(kind, name) for kind, name, _ in resources(parsed()["resource"])}
    read = set(re.findall(r"(?<![\w.\"])(google_\w+)\.(\w+)(?:\[[^\]]+\])?(?:\.(\w+))?", text))
    assert {(kind, name) for kind, name, _ in read} <= declared
    for kind, _, attribute in read:
        assert not attribute or attribute in resource(kind).attributes, f"{kind}.{attribute}"


def test_the_release_of_the_provider_is_the_one_that_was_looked_at() -> None:
    [settings] = parsed()["terraform"]
    assert settings["required_providers"][0]["google"]["version"] == f"~> {PROVIDER}"


def test_variables_locals_and_outputs_hang_together() -> None:
    text = "\n".join(path.read_text() for path in DIRECTORY.glob("*.tf"))
    declared = {name for block in parsed()["variable"] for name in block}
    assert set(re.findall(r"\bvar\.(\w+)", text)) == declared
    optional = {name for block in parsed()["variable"] for name, body in block.items() if "default" in body}
    given = loads((DIRECTORY / "taxi.tfvars").read_text())
    assert declared - optional <= given.keys() <= declared
    assert set(re.findall(r"\blocal\.(\w+)", text)) == {name for block in parsed()["locals"] for name in block}


def test_names_are_those_of_the_code() -> None:
    values = {name: value for block in parsed()["locals"] for name, value in block.items()}
    assert values["families"] == list(_FAMILIES)
    given = loads((DIRECTORY / "taxi.tfvars").read_text())
    live = taxi().live
    assert live is not None
    assert given["sources"].keys() == live.sources.keys()
    settings = read_vertex(ROOT / "deploy" / "vertex.yaml")
    made = {name: body["name"].replace("${var.project}", given["project"])
            for kind, name, body in resources(parsed()["resource"]) if kind == "google_storage_bucket"}  # fmt: skip
    assert settings.pipeline_root.startswith(f"gs://{made['artifacts']}/")
    assert settings.serving.startswith(f"gs://{made['models']}/")
    accounts = {
        body["account_id"] for kind, _, body in resources(parsed()["resource"]) if kind == "google_service_account"
    }
    assert settings.service_account.partition("@")[0] in accounts


def test_no_role_that_may_do_everything() -> None:
    text = (DIRECTORY / "accounts.tf").read_text()
    roles = set(re.findall(r'"(roles/[^"]+)"', text))
    assert len(roles) > 10
    assert [role for role in roles if re.search(r"admin|owner|editor", role, re.IGNORECASE)] == []


def test_it_is_formatted() -> None:
    program = next(filter(None, map(shutil.which, ("terraform", "tofu"))), None)
    if program is None:
        pytest.skip("neither terraform nor tofu is installed")
    done = subprocess.run(
        [program, "fmt", "-check", "-diff"], cwd=DIRECTORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_it_is_linted(tmp_path: Path) -> None:
    program = ROOT / ".tools" / "tflint"
    if not program.exists():
        pytest.skip("`make terraform` builds tflint, and nothing else does, for it takes minutes")
    lint = [str(program), "--enable-plugin=terraform", "--format=compact"]
    assert subprocess.run(lint, cwd=DIRECTORY, capture_output=True, text=True, check=False).stdout == ""
    (tmp_path / "main.tf").write_text('variable "unused" {}\n')
    found = subprocess.run(lint, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert "terraform_unused_declarations" in found
