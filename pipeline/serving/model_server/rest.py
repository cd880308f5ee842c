"""The HTTP/REST API, as an ASGI application."""

import asyncio
import re
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote_to_bytes

import grpc
from google.protobuf import json_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    regression_pb2,
)

from pipeline.serving.model_server import json_text, metrics
from pipeline.serving.model_server.classify import classify
from pipeline.serving.model_server.core import Core
from pipeline.serving.model_server.json_examples import read_examples, write_classifications, write_regressions
from pipeline.serving.model_server.json_tensors import read_inputs, write_outputs
from pipeline.serving.model_server.model_info import SIGNATURE_DEF, model_metadata, model_status
from pipeline.serving.model_server.predict import run
from pipeline.serving.model_server.regress import regress
from pipeline.serving.model_server.servable import DEFAULT_SIGNATURE
from pipeline.serving.model_server.status import InvalidArgument, ServingError, as_serving_error

_LONGEST_VERSION = len(str(2**63))
_MOST_UNZIPPED = 100 * 2**20
_PATH = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)
_VERSION_OR_LABEL = r"(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?"
_INFERENCE = re.compile(rf"/v1/models/([^/:]+){_VERSION_OR_LABEL}:(classify|regress|predict)", re.IGNORECASE | re.ASCII)
_INFORMATION = re.compile(rf"/v1/models(?:/([^/:]+))?{_VERSION_OR_LABEL}(?:/(metadata))?", re.IGNORECASE | re.ASCII)
_HTTP_STATUS = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}
_CORS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
]


class RestApi:
    """Answers `/v1/...`, and the metrics' path if there is one."""

    def __init__(
        self, core: Core, *, threads: int, timeout_s: float | None, cors: bool, metrics_path: str | None
    ) -> None:
        self._core = core
        self._threads = ThreadPoolExecutor(max(threads, 1), "rest")
        self._timeout_s = timeout_s
        self._cors = cors
        self._metrics_path = metrics_path

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one HTTP request."""
        method, path = scope["method"], scope["raw_path"].decode("latin-1")
        body = await _body(receive)
        if body is None:
            return
        if path == self._metrics_path:
            await _reply(send, 200, metrics.page().encode(), [(b"content-type", b"text/plain")])
            return
        if not _PATH.fullmatch(path):
            await _reply(send, 404, b"", [])
            return
        headers = dict(scope["headers"])
        started = time.perf_counter()
        call = _Call(self._core, method, path)
        error = None
        try:
            if method == "OPTIONS":
                output = _preflight(headers)
            else:
                loop = asyncio.get_running_loop()
                answer = loop.run_in_executor(self._threads, call.answer, headers.get(b"content-encoding", b""), body)
                output = await asyncio.wait_for(answer, self._timeout_s)
        except TimeoutError:
            error = ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "Timed out waiting for notification")
        except Exception as raised:
            error = as_serving_error(raised)
        if error is None:
            metrics.answered(call.model, call.api, "REST", started)
        else:
            metrics.REQUEST_COUNT.labels(call.model, error.code.name).inc()
        status = 200 if error is None else _HTTP_STATUS.get(error.code, 500)
        reply_headers = [] if method == "OPTIONS" else [(b"content-type", b"application/json")]
        reply_headers += _CORS if self._cors else []
        if error is not None:
            output = b"" if method == "OPTIONS" else json_text.error(error.message)
        await _reply(send, status, output, reply_headers)


async def _body(receive: Any) -> bytes | None:
    """The request's body; None if the client has gone."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _reply(send: Any, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _preflight(headers: dict[bytes, bytes]) -> bytes:
    if not re.search(rb"https?://", headers.get(b"origin", b"")):
        raise ServingError(grpc.StatusCode.FAILED_PRECONDITION, "Origin header is missing in CORS preflight")
    return b""


class _Call:
    """One request, and what metrics say of it."""

    def __init__(self, core: Core, method: str, path: str) -> None:
        self._core = core
        self._method = method
        self._path = path
        self.model = ""
        self.api = ""

    def answer(self, encoding: bytes, body: bytes) -> bytes:
        """The reply's body."""
        pattern = {"POST": _INFERENCE, "GET": _INFORMATION}.get(self._method)
        match = pattern.fullmatch(self._path) if pattern else None
        if match is None:
            raise InvalidArgument(f"Malformed request: {self._method} {self._path}")
        name, version, label, what = match.groups()
        spec = model_pb2.ModelSpec(name=_unquoted(name or ""))
        self.model = spec.name
        if version is not None:
            number = version.lstrip("0") or "0"
            if len(number) > _LONGEST_VERSION or int(number) >= 2**63:
                raise InvalidArgument(f"Failed to convert version: {version} to numeric.")
            spec.version.value = int(number)
        if label is not None:
            spec.version_label = _unquoted(label)
        if self._method == "GET":
            return self._describe(spec, what)
        if what not in _ANSWERS:  # the path's case does not matter, but the method's does
            raise InvalidArgument(f"Malformed request: {self._method} {self._path}")
        self.api = what
        if encoding.strip().lower() == b"gzip":
            body = _unzipped(body)
        try:
            return _ANSWERS[what](self._core, spec, json_text.parse_object(body))
        except RecursionError:
            raise InvalidArgument("JSON Parse error: nested too deep") from None

    def _describe(self, spec: Any, what: str | None) -> bytes:
        if not spec.name:
            raise InvalidArgument("Missing model name in request.")
        if what != "metadata":
            status = get_model_status_pb2.GetModelStatusRequest(model_spec=spec)
            return _json(model_status(self._core, status)).encode()
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=[SIGNATURE_DEF])
        response = model_metadata(self._core, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[SIGNATURE_DEF].Unpack(signatures)
        metadata = f'{{"signature_def": {_json(signatures)}}}'
        return f'{{\n"model_spec":{_json(response.model_spec)},\n"metadata": {metadata}\n}}\n'.encode()


def _predict(core: Core, spec: Any, document: dict[str, Any]) -> bytes:
    name = _signature_name(document) or DEFAULT_SIGNATURE
    with core.use(spec) as servable:
        signature = servable.model.signatures.get(name)
        if signature is None:
            raise InvalidArgument(f'Serving signature name: "{name}" not found in signature def')
        if not signature.inputs:
            raise InvalidArgument(f"Failed to get input map for signature: {_signature_name(document) or 'DEFAULT'}")
        inputs, layout = read_inputs(document, signature.inputs)
        outputs = run(servable, name, inputs, lambda _, array: array)
    return write_outputs(outputs, layout)


def _classify(core: Core, spec: Any, document: dict[str, Any]) -> bytes:
    request = classification_pb2.ClassificationRequest(model_spec=spec)
    request.model_spec.signature_name = _signature_name(document)
    read_examples(document, request.input)
    with core.use(spec) as servable:
        return write_classifications(classify(servable, request).result)


def _regress(core: Core, spec: Any, document: dict[str, Any]) -> bytes:
    request = regression_pb2.RegressionRequest(model_spec=spec)
    request.model_spec.signature_name = _signature_name(document)
    read_examples(document, request.input)
    with core.use(spec) as servable:
        return write_regressions(regress(servable, request).result)


_ANSWERS = {"predict": _predict, "classify": _classify, "regress": _regress}


def _signature_name(document: dict[str, Any]) -> str:
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidArgument(
            f"JSON Value: {json_text.shown(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return json_text.unicode(name)


def _json(message: Any) -> str:
    return str(
        json_format.MessageToJson(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=1
        )
    )


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")


def _unzipped(body: bytes) -> bytes:
    unzip = zlib.decompressobj(wbits=31)
    try:
        unzipped = unzip.decompress(body, _MOST_UNZIPPED)
    except zlib.error:
        raise InvalidArgument("JSON Parse error: the body is not gzip, as its Content-Encoding says") from None
    if not unzip.eof:
        raise InvalidArgument(
            f"JSON Parse error: the gzip body is cut short, or holds more than {_MOST_UNZIPPED} bytes"
        )
    return unzipped
