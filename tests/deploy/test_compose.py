"""The compose file: against the specification's schema, and against itself."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deploy.deployed import DEPLOY, addresses, compose, tag

SERVICES = compose()["services"]


def check(path: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_it_is_as_the_specification_says() -> None:
    done = check(DEPLOY / "compose.yaml")
    assert done.returncode == 0, done.stdout


def test_the_schema_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = compose()
    wrong["services"]["gateway"]["comand"] = []
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(wrong))
    done = check(tmp_path / "compose.yaml")
    assert done.returncode == 1
    assert "comand" in done.stdout


def test_images_are_pinned_and_ours_is_no_one_elses() -> None:
    assert not {"latest", "nightly"} & {tag(each["image"]) for each in SERVICES.values()}
    ours = {name for name, each in SERVICES.items() if each["image"].startswith("twinbeam:")}
    assert (
        ours == {name for name, each in SERVICES.items() if each.get("pull_policy") == "never"} == {"stream", "gateway"}
    )


def test_what_is_mounted_is_there() -> None:
    used = set()
    for each in SERVICES.values():
        for volume in each.get("volumes", []):
            if isinstance(volume, dict):
                assert volume["source"] == "../build/serving_model"  # what a run makes
                assert volume["bind"]["create_host_path"] is False
                continue
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source
                assert volume.endswith(":ro")
            else:
                used.add(source)
    assert used == compose()["volumes"].keys()


def test_services_wait_for_those_that_they_call() -> None:
    for name, each in SERVICES.items():
        called = {host for host, _ in addresses(each["command"])}
        assert called == each.get("depends_on", {}).keys(), name
        for other, how in each.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[other]


def test_ports_are_those_that_the_services_listen_on() -> None:
    listening = {("redis", 6379)}
    for name, each in SERVICES.items():
        listening |= {(name, int(flag.split("=")[1])) for flag in each["command"] if flag.startswith("--port=")}
    assert {address for each in SERVICES.values() for address in addresses(each["command"])} <= listening


def test_only_the_gateway_is_published_and_only_to_this_machine() -> None:
    assert {name: each["ports"] for name, each in SERVICES.items() if "ports" in each} == {
        "gateway": ["127.0.0.1:8080:8080"]
    }


def test_services_may_do_no_more_than_they_must() -> None:
    for name, each in SERVICES.items():
        assert each["read_only"] is True
        assert each["cap_drop"] == ["ALL"]
        assert each["init"] is True
        assert each["image"].startswith("twinbeam:") or each["user"].split(":")[0] != "0", name
