"""The embedded model server's services on loopback, for as long as they are asked, and what they cost."""

import contextlib
import json
import resource
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from concurrent import futures
from pathlib import Path

import grpc
import httpx
import numpy as np
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from pipeline.parity.remote import ANY_SIZE, Remote
from pipeline.serving.inputs import Array
from pipeline.serving.model_server.config import single_model
from pipeline.serving.model_server.core import Core
from pipeline.serving.model_server.grpc_services import PredictionService
from pipeline.serving.model_server.http_server import HttpServer
from pipeline.serving.model_server.rest import RestApi
from pipeline.serving.model_server.saved_model import SavedModel
from pipeline.serving.model_server.servable import Servable

_TIMEOUT_S = 600.0


class Server:
    """A server and its clients; each answer is float32 of shape (rows,)."""

    def __init__(self, remote: Remote, http: httpx.Client, load_s: float, load_bytes: int) -> None:
        self.target = remote.target
        """host:port of its gRPC services."""
        self.load_s = load_s
        """How long it took to load the model."""
        self.load_bytes = load_bytes
        """By how much the process grew meanwhile."""
        self.answers_s: list[float] = []
        """How long each answer over gRPC to a single row took."""
        self._remote, self._http = remote, http

    def by_grpc(self, inputs: Mapping[str, Array]) -> Array:
        """`serving_default` over gRPC, of arrays by name."""
        asked = time.perf_counter()
        found = self._remote.call("serving_default", inputs)["score"]
        if len(found) == 1:
            self.answers_s.append(time.perf_counter() - asked)
        return found

    def by_rest(self, examples: Array) -> Array:
        """`serving_examples` over REST, of serialized examples in base64."""
        instances = [{"b64": b64encode(example).decode()} for example in examples]
        body = json.dumps({"signature_name": "serving_examples", "instances": instances})
        reply = self._http.post(f"/v1/models/{self._remote.name}:predict", content=body).raise_for_status()
        return np.array(reply.json()["predictions"], np.float32)


@contextlib.contextmanager
def serving(model: Path, name: str) -> Iterator[Server]:
    """Serves one SavedModel on free ports of 127.0.0.1, by gRPC and REST.

    Raises:
      ServingError: The model cannot be loaded.
    """
    with contextlib.ExitStack() as ending:
        base = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="twinbeam-gate-")))
        (base / "1").symlink_to(model.absolute())
        core = Core(_load, poll_s=0)
        ending.callback(core.close)
        before, began = _resident_bytes(), time.perf_counter()
        core.reload(single_model(name, str(base)))
        load_s, load_bytes = time.perf_counter() - began, _resident_bytes() - before
        target = ending.enter_context(_grpc(core))
        remote = ending.enter_context(contextlib.closing(Remote(target, name)))
        http = ending.enter_context(_rest(core))
        yield Server(remote, http, load_s, load_bytes)


def _load(name: str, version: int, directory: Path) -> Servable:
    return Servable(name, version, SavedModel(directory, ["serve"], config_pb2.ConfigProto()))


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@contextlib.contextmanager
def _grpc(core: Core) -> Iterator[str]:
    threads = futures.ThreadPoolExecutor(1)
    server = grpc.server(threads, options=ANY_SIZE)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(core, threads), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
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
