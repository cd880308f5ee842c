"""A model server that passes calls on to another, and can be held up."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.pipeline.serving.model_server import serving as model_server


class Relay(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Passes calls on, and notes their metadata; with `open` cleared they wait."""

    def __init__(self, target: model_server.Client) -> None:
        self._target = target
        self.seen: list[dict[str, str]] = []
        self.open = threading.Event()
        self.open.set()

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.open.wait()
        self.seen.append(dict(context.invocation_metadata()))
        return self._target.prediction.Predict(request)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.open.wait()
        return self._target.prediction.GetModelMetadata(request)


@contextlib.contextmanager
def listening(passing: Relay) -> Iterator[int]:
    """The port at which it is."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(passing, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        passing.open.set()
        server.stop(None).wait()
