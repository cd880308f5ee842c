"""The HTTP interface of the gateway: FastAPI, with bodies read and replies written here, for exact errors and speed."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, unquote

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from modules.spec import Declaration
from pipeline.gateway.call import Call
from pipeline.gateway.gateway import Gateway, Settings
from pipeline.gateway.outside import Outside, error_response
from pipeline.gateway.refusal import Problem, Refusal, of_fields
from pipeline.gateway.replies import ErrorReply, Health, replies
from pipeline.gateway.rows import RowParser, time_schema
from pipeline.gateway.security import ApiKeys

MOST_BYTES = 1 << 20
"""Of one body."""
BODY_TIMEOUT_S = 10.0
"""In which a body must have come."""


def create_app(settings: Settings, keys: ApiKeys | None = None) -> FastAPI:
    """The gateway as an ASGI application.

    Args:
      settings: What it stands between.
      keys: The API keys, if requests need one.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.gateway = Gateway(settings)
        try:
            yield
        finally:
            app.state.gateway.close()

    description = f"Predictions of the model {settings.model}, with live features looked up on the way."
    app = FastAPI(
        title="Twinbeam feature gateway",
        description=description,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(Outside, keys=keys, state=app.state)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    _add_routes(app, settings.declaration, with_key=keys is not None)
    return app


def _add_routes(app: FastAPI, declaration: Declaration, *, with_key: bool) -> None:
    predict_reply, features_reply, ready_reply = replies(declaration)
    always = (401,) if with_key else ()

    def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
        return {status: {"model": ErrorReply} for status in (*always, *statuses)}

    body = {"required": True, "content": {"application/json": {"schema": RowParser(declaration).schema}}}

    @app.post(
        "/v1/predict",
        summary="Scores of rows.",
        response_model=predict_reply,
        responses=errors(400, 408, 413, 415, 422, 503, 504),
        openapi_extra={"requestBody": body},
    )
    async def predict(request: Request) -> Response:
        _check_content(request)
        found = await _gateway(request).predict(await _body(request), _call(request))
        return _json(found)

    time = {"name": "time", "in": "query", "required": False, "description": "As of when; without it the clock's."}
    if declaration.time is not None:
        schema = time_schema(declaration.columns[declaration.time])
        time["schema"] = {"anyOf": [kind for kind in schema["anyOf"] if kind["type"] != "null"]}

        @app.get(
            "/v1/features/{source}/{columns}/{key:path}",
            summary="The live features of one key.",
            description="The values of a key with several columns are in their order, with commas between. "
            "Percent-encode each: a comma in a value is %2C, a slash %2F.",
            response_model=features_reply,
            responses=errors(404, 422, 503, 504),
            openapi_extra={"parameters": [time]},
        )
        async def features(request: Request, source: str, columns: str, key: str) -> Response:
            entity, texts = _key(request)
            return _json(await _gateway(request).features(entity, texts, _time(request)))

    @app.get("/healthz", summary="Whether the process lives.", response_model=Health)
    async def healthz() -> Response:
        return _json({"status": "ok"})

    @app.get(
        "/readyz",
        summary="Whether predictions are answered.",
        description="The model server answers, and the model fits. So does the store, unless serving.when_down is "
        "defaults: then it is ready without, and as_of is null.",
        response_model=ready_reply,
        responses={status: {"model": ErrorReply} for status in (503, 504)},
    )
    async def readyz(request: Request) -> Response:
        return _json(await _gateway(request).ready())

    @app.get(
        "/metrics",
        summary="For Prometheus.",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **errors()},
    )
    async def metrics(request: Request) -> Response:
        return Response(_gateway(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            if with_key:
                schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
                for path, operations in schema["paths"].items():
                    if path not in ("/healthz", "/readyz"):
                        for operation in operations.values():
                            operation["security"] = [{"key": []}]
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI wants it


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _call(request: Request) -> Call:
    call: Call = request.scope["call"]
    return call


def _json(document: dict[str, Any]) -> Response:
    return Response(json.dumps(document, allow_nan=False), media_type="application/json")


def _check_content(request: Request) -> None:
    """Refuses a body that is not said to be plain JSON."""
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    charset = rest.strip().lower().removeprefix("charset=").strip('"')
    if kind.strip().lower() != "application/json" or charset not in ("", "utf-8"):
        raise Refusal(415, "Send JSON in UTF-8, with the header Content-Type: application/json.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "The body is compressed. Send it as it is.")


async def _body(request: Request) -> bytes:
    """The body, which is refused as soon as it is too large or too slow."""
    length = request.headers.get("content-length", "0")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            if int(length) <= MOST_BYTES:
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > MOST_BYTES:
                        break
                else:
                    return bytes(body)
    except TimeoutError:
        message = f"The body did not come within {BODY_TIMEOUT_S:g} s. Send it again."
        raise Refusal(408, message, headers={"Connection": "close"}) from None
    message = f"The body is larger than {MOST_BYTES:,} bytes. Send several."
    raise Refusal(413, message, headers={"Connection": "close"})


def _key(request: Request) -> tuple[str, list[str]]:
    """Entity and values of the path as it was sent: what is percent-encoded separates nothing."""
    raw: bytes = request.scope["raw_path"]
    parts = raw.decode("latin-1").split("/")[3:]
    try:
        source, columns = (unquote(part, errors="strict") for part in parts[:2])
        texts = [unquote(value, errors="strict") for value in "/".join(parts[2:]).split(",")]
    except UnicodeDecodeError:
        raise of_fields([Problem(None, "key", "is not UTF-8 text once it is percent-decoded.")]) from None
    if len(parts) > 3:
        raise of_fields([Problem(None, "key", "has a slash; percent-encode it in a value: %2F.")])
    return f"{source}/{columns}", texts


def _time(request: Request) -> str | None:
    """The query's only parameter."""
    given = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    if any(name != "time" for name, _ in given) or len(given) > 1:
        raise of_fields([Problem(None, None, "the query has other parameters than one time; leave them out.")])
    return given[0][1] if given else None


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error_response(_call(request), error)


async def _http_error(request: Request, error: Exception) -> Response:
    """No such path, or not with this method."""
    assert isinstance(error, HTTPException)
    paths = "/v1/predict, /v1/features/SOURCE/COLUMNS/KEY, /healthz, /readyz, /metrics, /docs"
    message = f"{error.detail}. There are {paths}."
    return error_response(_call(request), Refusal(error.status_code, message, headers=dict(error.headers or {})))
