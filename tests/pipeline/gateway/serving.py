"""A gateway in this process, behind a real socket, and its client."""

import asyncio
import contextlib
import functools
import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

from modules.spec import Declaration
from pipeline.gateway.app import create_app
from pipeline.gateway.gateway import Settings
from pipeline.gateway.security import ApiKeys
from pipeline.gateway.server import listen
from tests.pipeline.gateway.shop import row

Headers = dict[str, str]


class Client:
    """Asks a gateway."""

    def __init__(self, port: int) -> None:
        self.port = port

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def send(
        self, method: str, path: str, body: Any = None, headers: Headers | None = None
    ) -> tuple[int, Headers, bytes]:
        """Status, headers and body; a body that is an iterator is sent in chunks."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()

    def post(self, body: Any, headers: Headers | None = None) -> tuple[int, Any]:
        """Status and document of a prediction; bytes are sent as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, _, reply = self.send(
            "POST", "/v1/predict", data, {"Content-Type": "application/json"} | (headers or {})
        )
        return status, json.loads(reply)

    def predict(self, *rows: dict[str, Any]) -> tuple[int, Any]:
        """Status and document of the prediction of rows; without any, of one row."""
        return self.post({"requests": list(rows) or [row()]})

    def get(self, path: str) -> tuple[int, Any]:
        """Status and document."""
        status, _, reply = self.send("GET", path)
        return status, json.loads(reply)

    def metrics(self) -> dict[str, float]:
        """By name and labels."""
        _, _, text = self.send("GET", "/metrics")
        lines = (line.rpartition(" ") for line in text.decode().splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """The event loop of all gateways of this process, in a thread: gRPC knows one loop a process."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


@contextlib.contextmanager
def gateway(
    declaration: Declaration, store: str, model_port: int, keys: ApiKeys | None = None, **more: Any
) -> Iterator[Client]:
    """A gateway on a free port."""
    chosen: dict[str, Any] = {"model": "shop", "model_timeout_s": 30.0, "store_timeout_s": 30.0} | more
    settings = Settings(declaration, store, f"127.0.0.1:{model_port}", **chosen)
    with listen("127.0.0.1", 0) as listening:
        config = uvicorn.Config(create_app(settings, keys), log_config=None, access_log=False, lifespan="on")
        server = uvicorn.Server(config)
        running = asyncio.run_coroutine_threadsafe(server.serve(sockets=[listening]), _loop())
        try:
            while not server.started:
                assert not running.done(), "the gateway did not start"
                time.sleep(0.01)
            yield Client(listening.getsockname()[1])
        finally:
            server.should_exit = True
            running.result()
