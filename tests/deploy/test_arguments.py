"""Command lines and configuration files: what is given to a server is what the server takes."""

import shlex
from typing import Any

import pytest
import typer
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from modules.spec import load_declaration
from pipeline.cli.main import app
from pipeline.dead_letters import open_dead_letters
from pipeline.jobs.stream import sources_of
from pipeline.serving.model_server import flags
from pipeline.serving.model_server.config import check_transition
from pipeline.serving.model_server.messages import MonitoringConfig
from pipeline.stores.urls import open_store
from tests.conftest import ROOT
from tests.deploy.deployed import BASE, DEPLOY, Object, arguments, compose, container, one, tag, written

SERVICES = compose()["services"]
TAXI = load_declaration(ROOT / "schema" / "taxi" / "features.yaml")


def deployed(name: str) -> Object:
    """The container of a Deployment of the base."""
    return container(one(written(), "Deployment", name))


def model_server() -> list[str]:
    """The arguments of TensorFlow Serving on Kubernetes."""
    command, *given = arguments(deployed("tensorflow-serving"))
    assert command == "/usr/bin/tensorflow_model_server"
    return given


def options(name: str, given: list[str]) -> dict[str, Any]:
    """The options of a command of ours, parsed by it."""
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    parsed: dict[str, Any] = command.make_context(name, list(given)).params
    return parsed


def test_the_model_server_is_the_same_everywhere() -> None:
    service = SERVICES["tensorflow-serving"]
    assert service["entrypoint"] == ["/usr/bin/tensorflow_model_server"]
    assert service["command"] == model_server()


def test_its_flags_are_known_and_do_something() -> None:
    parsed = flags.parse([*model_server(), "--file_system_poll_wait_seconds=30"])
    assert parsed.valid
    assert parsed.unknown == []
    assert parsed.flags.without_effect() == []
    assert parsed.flags.enable_model_warmup


@pytest.mark.parametrize("directory", ["base", "bucket"])
def test_the_models_are_said_as_the_model_server_reads_them(directory: str) -> None:
    text = (DEPLOY / "kubernetes" / directory / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    check_transition(model_server_config_pb2.ModelServerConfig(), config)
    [model] = config.model_config_list.config
    assert model.name == TAXI.dataset
    assert model.base_path.endswith(f"/{TAXI.dataset}")
    for kind in ("startupProbe", "readinessProbe"):
        assert deployed("tensorflow-serving")[kind]["httpGet"]["path"] == f"/v1/models/{model.name}"


def test_the_way_back_that_a_comment_shows_is_one() -> None:
    lines = (BASE / "models.config").read_text().splitlines()
    [policy] = (line.lstrip("# ") for line in lines if "model_version_policy" in line)
    model = model_server_config_pb2.ModelConfig()
    text_format.Parse(policy, model)
    assert list(model.model_version_policy.specific.versions) == [6]


def test_metrics_are_where_the_network_policy_says() -> None:
    config = text_format.Parse((BASE / "monitoring.config").read_text(), MonitoringConfig())
    assert config.prometheus_config.enable
    assert config.prometheus_config.path in (BASE / "network-policy.yaml").read_text()


GIVEN = {
    "stream, compose": ("stream", lambda: SERVICES["stream"]["command"]),
    "stream, kubernetes": ("stream", lambda: arguments(deployed("stream"))),
    "gateway, compose": ("serve", lambda: SERVICES["gateway"]["command"]),
    "gateway, kubernetes": ("serve", lambda: arguments(deployed("gateway"))),
}


@pytest.mark.parametrize(("name", "given"), GIVEN.values(), ids=GIVEN)
def test_our_commands_take_what_they_are_given(name: str, given: Any) -> None:
    command, *rest = given()
    assert command == name
    parsed = options(name, rest)
    assert (ROOT / parsed["features"]).is_file()
    store = parsed["store"].replace("$(REDIS_PASSWORD)", "0f" * 24)
    open_store(store, "").close()
    if name == "stream":
        sources = dict(each.split("=", 1) for each in parsed["sources"])
        assert len(sources_of(TAXI, sources)) == len(sources)
        open_dead_letters(parsed["dead_letters"]).close()


def test_the_image_holds_what_it_is_built_from() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    words = [shlex.split(line) for line in lines if line and not line.startswith("#")]
    copied = {name for line in words if line[0] == "COPY" and "--from" not in line[1] for name in line[1:-1]}
    assert [name for name in copied if not (ROOT / name).exists()] == []
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert [tag(line[1]) for line in words if line[0] == "FROM"] == ["3.11.13-bookworm", "3.11.13-slim-bookworm"]
    [user] = (line[1] for line in words if line[0] == "USER")
    assert user == "10001:10001"
    for name in ("gateway", "stream"):
        context = one(written(), "Deployment", name)["spec"]["template"]["spec"]["securityContext"]
        assert f"{context['runAsUser']}:{context['runAsGroup']}" == user
    [entry] = (line[1:] for line in words if line[0] == "ENTRYPOINT")
    assert entry == ["[twinbeam]"]
    [work] = (line[1] for line in words if line[0] == "WORKDIR" and line[1] != "/source")
    assert ["schema", f"{work}/schema"] in [line[1:] for line in words if line[0] == "COPY"]
