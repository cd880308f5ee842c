"""The embedded model server's services on loopback, for as long as they are asked."""

import contextlib
import json
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Mapping
from concurrent import futures
from pathlib import Path

import grpc
import httpx
import numpy as np
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from pipeline.serving.inputs import Array
from pipeline.serving.model_server.config import single_model
from pipeline.serving.model_server.core import Core
from pipeline.serving.model_server.grpc_services import PredictionService
from pipeline.serving.model_server.http_server import HttpServer
from pipeline.serving.model_server.rest import RestApi
from pipeline.serving.model_server.saved_model import SavedModel
from pipeline.serving.model_server.servable import Servable
from pipeline.serving.model_server.tensors import to_array, to_proto

_TIMEOUT_S = 600.0
_ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Clients:
    """Asks the server for scores; each answer is float32 of shape (rows,)."""

    def __init__(self, name: str, channel: grpc.Channel, http: httpx.Client) -> None:
        self._name, self._http = name, http
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def by_grpc(self, inputs: Mapping[str, Array]) -> Array:
        """`serving_default` over gRPC, of arrays by name."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._name
        for name, array in inputs.items():
            to_proto(array, request.inputs[name], as_content=True)
        return to_array(self._stub.Predict(request, timeout=_TIMEOUT_S).outputs["score"], "score")

    def by_rest(self, examples: Array) -> Array:
        """`serving_examples` over REST, of serialized examples in base64."""
        instances = [{"b64": b64encode(example).decode()} for example in examples]
        body = json.dumps({"signature_name": "serving_examples", "instances": instances})
        reply = self._http.post(f"/v1/models/{self._name}:predict", content=body).raise_for_status()
        return np.array(reply.json()["predictions"], np.float32)


@contextlib.contextmanager
def serving(model: Path, name: str) -> Iterator[Clients]:
    """Serves one SavedModel on free ports of 127.0.0.1, by gRPC and REST."""
    with contextlib.ExitStack() as ending:
        base = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="twinbeam-gate-")))
        (base / "1").symlink_to(model.absolute())
        core = Core(_load, poll_s=0)
        ending.callback(core.close)
        core.reload(single_model(name, str(base)))
        channel = ending.enter_context(_grpc(core))
        http = ending.enter_context(_rest(core))
        yield Clients(name, channel, http)


def _load(name: str, version: int, directory: Path) -> Servable:
    return Servable(name, version, SavedModel(directory, ["serve"], config_pb2.ConfigProto()))


@contextlib.contextmanager
def _grpc(core: Core) -> Iterator[grpc.Channel]:
    server = grpc.server(futures.ThreadPoolExecutor(1), options=_ANY_SIZE)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(core), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}", [*_ANY_SIZE, ("grpc.enable_http_proxy", 0)]) as channel:
            yield channel
    finally:
        server.stop(grace=None).wait()


@contextlib.contextmanager
def _rest(core: Core) -> Iterator[httpx.Client]:
    api = RestApi(core, threads=1, timeout_s=None, cors=False, metrics_path=None)
    server = HttpServer(api, "127.0.0.1", 0)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=_TIMEOUT_S, trust_env=False) as client:
            yield client
    finally:
        server.stop()
