"""The models, made once, and one server with all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.serving.model_server import models
from tests.pipeline.serving.model_server.serving import Client, config, running, write


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a base path for each model, which holds version 123. Look at it, and do not change it."""
    base = tmp_path_factory.mktemp("saved")
    models.linear(base / "linear" / "00000123")
    models.old_linear(base / "old_linear" / "00000123")
    models.keras_model(base / "keras_model" / "123")
    models.kinds(base / "kinds" / "123")
    return base


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another version of the linear model: y = x + 10."""
    return models.linear(tmp_path_factory.mktemp("other") / "model", 1.0, 10.0)


@pytest.fixture(scope="session")
def client(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Of a server with all models; `linear` has a label `stable`, and `a b` is the linear model too."""
    directory = tmp_path_factory.mktemp("server")
    fields = [
        f'name: "linear" base_path: "{saved}/linear" version_labels {{ key: "stable" value: 123 }}',
        f'name: "a b" base_path: "{saved}/linear"',
        *(f'name: "{name}" base_path: "{saved}/{name}"' for name in ("old_linear", "keras_model", "kinds")),
    ]
    with running(
        model_config_file=write(directory / "models", config(*fields)),
        monitoring_config_file=write(directory / "monitoring", "prometheus_config { enable: true }"),
        allow_version_labels_for_unavailable_models=True,
        enable_grpc_healthcheck_service=True,
        grpc_socket_path=str(directory / "socket"),
        rest_api_enable_cors_support=True,
    ) as client:
        yield client
