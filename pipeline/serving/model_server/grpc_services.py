"""The gRPC services: PredictionService and ModelService."""

import contextlib
import functools
import importlib
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
from tensorflow_serving.apis import (
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from pipeline.serving.model_server import metrics
from pipeline.serving.model_server.classify import classify
from pipeline.serving.model_server.core import Core
from pipeline.serving.model_server.model_info import model_metadata, model_status
from pipeline.serving.model_server.multi_inference import multi_inference
from pipeline.serving.model_server.predict import predict
from pipeline.serving.model_server.regress import regress
from pipeline.serving.model_server.servable import Servable
from pipeline.serving.model_server.status import InvalidArgument, ServingError, as_serving_error

SERVICES = ("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
for _file in ("prediction_service_pb2", "model_service_pb2"):
    # Reflection describes services by the files that are loaded. These two were generated for an older protobuf: they
    # load, and then set what cannot be set any more.
    with contextlib.suppress(AttributeError):
        importlib.import_module(f"tensorflow_serving.apis.{_file}")
_LONGEST_DETAILS = 1024


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers inference requests."""

    def __init__(self, core: Core, threads: futures.ThreadPoolExecutor) -> None:
        """Has its calls answered by threads of their own.

        Args:
          core: The models.
          threads: Those that run them, and nothing else, so that probes are answered however many requests wait.
        """
        self._core = core
        for name in ("Predict", "Classify", "Regress", "MultiInference"):
            call = functools.partial(getattr(self, name))
            call.experimental_thread_pool = threads  # type: ignore[attr-defined]  # as gRPC wants it
            setattr(self, name, call)

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Any signature, by aliases."""
        return self._infer("Predict", predict, request, context)

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Labels and scores of examples."""
        return self._infer("Classify", classify, request, context)

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        """A number of each example."""
        return self._infer("Regress", regress, request, context)

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Several signatures over the same examples."""
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        with _aborting(context):
            _check_wanted(context)
            with self._core.use(spec) as servable:
                return multi_inference(servable, request)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The signatures of a version."""
        with _aborting(context):
            return model_metadata(self._core, request)

    def _infer(
        self, api: str, answer: Callable[[Servable, Any], Any], request: Any, context: grpc.ServicerContext
    ) -> Any:
        started = time.perf_counter()
        name = request.model_spec.name
        with _aborting(context, name):
            _check_wanted(context)
            if not request.HasField("model_spec"):
                raise InvalidArgument("Missing ModelSpec")
            with self._core.use(request.model_spec) as servable:
                response = answer(servable, request)
        metrics.answered(name, api, "GRPC", started)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """Tells of the models, and takes other configurations."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The state of a model's versions."""
        with _aborting(context):
            return model_status(self._core, request)

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Replaces the configuration; the reply comes once the new models are available."""
        before = metrics.counts(request.metric_names)
        with _aborting(context):
            if request.config.WhichOneof("config") != "model_config_list":
                raise InvalidArgument(
                    "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                    "Only ModelConfigList is currently supported"
                )
            self._core.reload(request.config, context.is_active)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        for name, value in metrics.counts(request.metric_names).items():
            response.metric.add(name=name, int64_value_increase=value - before[name])
        return response


def _check_wanted(context: grpc.ServicerContext) -> None:
    """Refuses a request that waited for a thread until its caller had gone."""
    if not context.is_active():
        raise ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline exceeded before the request was run")


@contextlib.contextmanager
def _aborting(context: grpc.ServicerContext, counted_for: str | None = None) -> Iterator[None]:
    """Ends the call with the status of whatever is raised, and counts it for the model if one is named."""
    try:
        yield
    except Exception as raised:
        error = as_serving_error(raised)
        if counted_for is not None:
            metrics.REQUEST_COUNT.labels(counted_for, error.code.name).inc()
        cut = error.message[_LONGEST_DETAILS:] and "...TRUNCATED"
        context.abort(error.code, error.message[:_LONGEST_DETAILS] + cut)
