"""A model server with the small model, a store with the rides, and a gateway between them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.spec import Declaration
from pipeline.live.place import Place
from pipeline.serving.signature import ScoringModel
from tests.pipeline.gateway import models, shop
from tests.pipeline.gateway.serving import Client, gateway
from tests.pipeline.live.filled import fill
from tests.pipeline.serving.model_server import serving as model_server
from tests.pipeline.stores.conftest import redis

__all__ = ["redis"]


@pytest.fixture(scope="session")
def declaration(tmp_path_factory: pytest.TempPathFactory) -> Declaration:
    return shop.declare(tmp_path_factory.mktemp("declared"))


@pytest.fixture(scope="session")
def exported(declaration: Declaration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base path of the model, with version 1 in it. Look at it, and do not change it."""
    return models.export(declaration, tmp_path_factory.mktemp("exported") / "shop", 1)


@pytest.fixture(scope="session")
def scoring(exported: Path) -> ScoringModel:
    """Version 1, in this process."""
    return ScoringModel(str(exported / "1"))


@pytest.fixture(scope="session")
def serving(exported: Path) -> Iterator[model_server.Client]:
    """A model server with version 1, and nothing else, ever."""
    with model_server.running(model_name="shop", model_base_path=str(exported), rest_api_port=0) as client:
        yield client


@pytest.fixture(scope="session")
def original(declaration: Declaration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all events, to be copied."""
    path = tmp_path_factory.mktemp("original") / "filled.db"
    fill(declaration, Place(f"sqlite://{path}", declaration.features_fingerprint), shop.EVENTS)
    return path


@pytest.fixture
def store(original: Path, tmp_path: Path) -> str:
    """The URL of a store with the rides, to change."""
    return f"sqlite://{shutil.copy(original, tmp_path / 'filled.db')}"


@pytest.fixture(scope="session")
def client(declaration: Declaration, serving: model_server.Client, original: Path) -> Iterator[Client]:
    """Of a gateway with everything up, which no test changes."""
    with gateway(declaration, f"sqlite://{original}", serving.flags.port) as opened:
        yield opened
