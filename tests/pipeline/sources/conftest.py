from collections.abc import Iterator

import pytest

from tests.pipeline.sources.servers import Server, Unavailable, kafka_broker, pubsub_emulator


@pytest.fixture(scope="session")
def pubsub_server() -> Iterator[Server]:
    try:
        with pubsub_emulator() as server:
            yield server
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[Server]:
    try:
        with kafka_broker() as server:
            yield server
    except Unavailable as reason:
        pytest.skip(str(reason))
