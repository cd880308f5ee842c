"""A server in this process on free ports, and its clients."""

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_service_pb2_grpc, predict_pb2, prediction_service_pb2_grpc

from pipeline.serving.model_server.flags import EVERY_INTERFACE, Flags
from pipeline.serving.model_server.server import ModelServer
from pipeline.serving.model_server.tensors import Array
from tests.pipeline.stores.servers import free_port


class Client:
    """Asks a server over gRPC and HTTP."""

    def __init__(self, server: ModelServer, flags: Flags) -> None:
        self.server = server
        self.flags = flags
        self.channel = grpc.insecure_channel(f"127.0.0.1:{flags.port}", [("grpc.max_receive_message_length", -1)])
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, model: str, signature: str = "", **inputs: Any) -> Any:
        """A Predict call with arrays."""
        return self.prediction.Predict(predict_request(model, signature, **inputs), timeout=30)

    def http(
        self, method: str, path: str, body: bytes | str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an HTTP request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.flags.rest_api_port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Status and document of a POST of JSON below /v1/models/."""
        status, _, reply = self.http("POST", f"/v1/models/{path}", json.dumps(body))
        return status, json.loads(reply)

    def get(self, path: str) -> tuple[int, Any]:
        """Status and document of a GET below /v1/models/."""
        status, _, reply = self.http("GET", f"/v1/models/{path}")
        return status, json.loads(reply)

    def states(self, model: str) -> dict[int, str]:
        """The states of a model's versions, as the REST API says."""
        status, reply = self.get(model)
        return {int(each["version"]): each["state"] for each in reply["model_version_status"]} if status == 200 else {}


def predict_request(model: str, signature: str = "", **inputs: Any) -> Any:
    """A PredictRequest with arrays."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for alias, value in inputs.items():
        request.inputs[alias].CopyFrom(tf.make_tensor_proto(np.asarray(value)))
    return request


def floats(*values: float) -> Array:
    """A vector of float32."""
    return np.array(values, np.float32)


def config(*models: str) -> str:
    """The text of a ModelServerConfig; each model is the text of its fields."""
    listed = "".join(f'config {{ model_platform: "tensorflow" {fields} }}\n' for fields in models)
    return f"model_config_list {{\n{listed}}}\n"


@contextlib.contextmanager
def running(**flags: Any) -> Iterator[Client]:
    """A server with these flags, and ports of its own."""
    chosen = Flags(**{"port": free_port(), "rest_api_port": free_port()} | flags)
    server = ModelServer(chosen, EVERY_INTERFACE)
    try:
        server.start()
        client = Client(server, chosen)
        if chosen.rest_api_port:
            eventually(lambda: _answers(client))
        yield client
        client.channel.close()
    finally:
        server.stop()


def _answers(client: Client) -> bool:
    with contextlib.suppress(OSError):
        return client.http("GET", "/")[0] == 404
    return False


def eventually(holds: Callable[[], bool], within_s: float = 30) -> None:
    """Waits until it holds."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.02)


def write(path: Path, text: str) -> str:
    """Writes the file; returns its name."""
    path.write_text(text)
    return str(path)
