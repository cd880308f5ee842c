"""The local web page: what the replay does, live features of a key, and a form that asks for a prediction."""

import contextlib
import dataclasses
import os
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.middleware.trustedhost import TrustedHostMiddleware

from modules.spec import Declaration, InputError
from pipeline.up.form import Form
from pipeline.up.replay import Replay
from pipeline.up.services import Service
from pipeline.up.status import Status

_TIMEOUT_S = 30.0


def page(
    declaration: Declaration,
    form: Form,
    replay: Replay,
    logs: Mapping[Service, str],
    gateway: str,
    status: Callable[[], Status],
) -> FastAPI:
    """The page's server: the page, `/status`, and everything below `/v1/` as the gateway answers it.

    Args:
      declaration: The dataset.
      form: What its requests are made of.
      replay: What is replayed.
      logs: What runs, and the log of each.
      gateway: The gateway's URL.
      status: How far the replay is.
    """
    environment = Environment(
        loader=PackageLoader("pipeline.up"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("page.html")
    told = {
        "fields": [dataclasses.asdict(field) for field in form.fields],
        "time": form.time,
        "examples": form.examples,
        "entities": [
            {"name": entity.name, "key": entity.key, "features": [feature.name for feature in entity.features]}
            for entity in form.entities
        ],
        "descriptions": {name: feature.description for name, feature in declaration.live_features.items()},
    }

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with httpx.AsyncClient(base_url=gateway, timeout=_TIMEOUT_S) as app.state.gateway:
            yield

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    # A page elsewhere whose name was made to lead here is not answered.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])

    @app.get("/", response_class=HTMLResponse)
    def index() -> str:
        return template.render(
            declaration=declaration,
            form=form,
            replay=replay,
            logs=logs,
            told=told,
            nonce=secrets.token_urlsafe(16),
        )

    @app.get("/status")
    def now() -> Status:
        return status()

    @app.api_route("/v1/{path:path}", methods=["GET", "POST"])
    async def forward(request: Request) -> Response:
        path = request.scope["raw_path"].decode() + (f"?{request.url.query}" if request.url.query else "")
        kind = {"content-type": request.headers.get("content-type", "")}
        client: httpx.AsyncClient = request.app.state.gateway
        try:
            answer = await client.request(request.method, path, content=await request.body(), headers=kind)
        except httpx.HTTPError as error:
            message = f"The gateway does not answer: {error or type(error).__name__}. Its log says why."
            return JSONResponse({"error": {"message": message, "problems": []}}, httpx.codes.SERVICE_UNAVAILABLE)
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    return app


@contextlib.contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A port of 127.0.0.1; 0: a free one.

    Raises:
      InputError: It cannot be had.
    """
    try:
        server = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise InputError(f"--port {port}: {reason}. Name another port, or 0 for a free one.") from None
    with server:
        yield server


@contextlib.contextmanager
def served(app: FastAPI, server: socket.socket) -> Iterator[None]:
    """While it is entered, the app answers on a socket."""
    config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=2)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, args=([server],), daemon=True)
    thread.start()
    while not running.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield
    finally:
        running.should_exit = True
        thread.join()
