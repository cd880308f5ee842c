"""The whole server: models loaded first, then the ports."""

import logging
import threading
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from pipeline.serving.model_server.batching import BatchScheduler, per_model_parameters
from pipeline.serving.model_server.config import single_model
from pipeline.serving.model_server.core import Core
from pipeline.serving.model_server.flags import Flags
from pipeline.serving.model_server.grpc_services import SERVICES, ModelService, PredictionService
from pipeline.serving.model_server.http_server import HttpServer
from pipeline.serving.model_server.messages import BatchingParameters, MonitoringConfig, SSLConfig
from pipeline.serving.model_server.metrics import DEFAULT_PATH
from pipeline.serving.model_server.rest import RestApi
from pipeline.serving.model_server.saved_model import SavedModel
from pipeline.serving.model_server.servable import Model, Servable
from pipeline.serving.model_server.status import InvalidArgument, ServingError
from pipeline.serving.model_server.text_files import read_message
from pipeline.serving.model_server.tflite import TFLiteModel
from pipeline.serving.model_server.warmup import warm_up

_log = logging.getLogger(__name__)

_CHANNEL_ARGUMENTS: dict[str, int | str] = {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.so_reuseport": 0,  # a second server on the port is told so, instead of taking every other call
}
_OTHER_THREADS = 256
"""At most, for calls that run no model: status, probes, and streams of reflection, each of which holds one."""


class ModelServer:
    """A server that runs from `start` to `stop`."""

    def __init__(self, flags: Flags, host: str) -> None:
        """Reads the files that the flags name.

        Args:
          flags: TensorFlow Serving's.
          host: The address of this machine, IPv4 or a name, that the ports are bound to.

        Raises:
          ServingError: The flags contradict each other, or a file cannot be read.
        """
        _check(flags)
        self._flags, self._host = flags, host
        self._config = _models(flags)
        self._batching = _batching_parameters(flags)
        self._session_config = _session_config(flags)
        self._ssl = read_message(flags.ssl_config_file, SSLConfig) if flags.ssl_config_file else None
        self._monitoring = (
            read_message(flags.monitoring_config_file, MonitoringConfig)
            if flags.monitoring_config_file
            else MonitoringConfig()
        )
        self._scheduler = BatchScheduler(self._batching) if self._batching is not None else None
        self._stopped = threading.Event()
        self._http: HttpServer | None = None
        self._grpc: grpc.Server | None = None
        self.core = Core(
            self._load,
            poll_s=flags.file_system_poll_wait_seconds,
            max_load_retries=flags.max_num_load_retries,
            load_retry_interval_s=flags.load_retry_interval_micros / 1e6,
            labels_for_unavailable=flags.allow_version_labels_for_unavailable_models,
        )

    def start(self) -> None:
        """Loads the models, and then binds the ports.

        Raises:
          ServingError: A model cannot be loaded, or the gRPC port not be bound.
        """
        for name in self._flags.without_effect():
            _log.warning("--%s is accepted and does nothing here", name)
        self.core.reload(self._config, lambda: not self._stopped.is_set())
        if self._stopped.is_set():
            return
        if self._flags.model_config_file and self._flags.model_config_file_poll_wait_seconds > 0:
            threading.Thread(target=self._follow_config_file, name="config file", daemon=True).start()
        self._grpc = self._start_grpc()
        self._http = self._start_http()

    def wait(self) -> None:
        """Returns once the server has been stopped."""
        self._stopped.wait()

    def stop(self) -> None:
        """Finishes the requests in flight, for some seconds at most, and ends."""
        self._stopped.set()
        if self._http:
            self._http.stop()
        if self._grpc:
            self._grpc.stop(grace=5).wait()
        self.core.close()
        if self._scheduler:
            self._scheduler.close()

    def interrupt(self) -> None:
        """Lets `wait`, or a `start` that still waits for models, return; safe in a signal handler."""
        self._stopped.set()

    def _load(self, name: str, version: int, directory: Path) -> Servable:
        flags = self._flags
        model: Model
        if flags.prefer_tflite_model and (directory / "model.tflite").is_file():
            model = TFLiteModel(directory / "model.tflite")
        else:
            model = SavedModel(directory, flags.saved_model_tags.split(","), self._session_config)
        if self._scheduler:
            parameters = self._batching
            if flags.enable_per_model_batching_parameters:
                parameters = per_model_parameters(directory)
            if parameters is not None:
                model = self._scheduler.wrap(model, parameters)
        servable = Servable(
            name,
            version,
            model,
            check_method_names=flags.enable_signature_method_name_check,
            tensor_content=flags.enable_serialization_as_tensor_content,
        )
        try:
            if flags.enable_model_warmup:
                warm_up(servable, directory, max(flags.num_request_iterations_for_warmup, 1))
        except BaseException:
            model.close()
            raise
        return servable

    def _follow_config_file(self) -> None:
        while not self._stopped.wait(self._flags.model_config_file_poll_wait_seconds):
            try:
                self.core.reload(_models(self._flags), going_on=lambda: False)
            except ServingError as error:
                _log.error("%s: %s; the models stay as they were", self._flags.model_config_file, error)

    def _start_grpc(self) -> grpc.Server:
        flags = self._flags
        server = grpc.server(
            futures.ThreadPoolExecutor(_OTHER_THREADS, "grpc"),
            options=list((_CHANNEL_ARGUMENTS | _channel_arguments(flags.grpc_channel_arguments)).items()),
        )
        threads = futures.ThreadPoolExecutor(max(flags.grpc_max_threads, 1), "model")
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(self.core, threads), server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(self.core), server)
        services = [*SERVICES, reflection.SERVICE_NAME]
        if flags.enable_grpc_healthcheck_service:
            servicer = health.HealthServicer()
            for name in ("", "ModelService", "PredictionService"):
                servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
            health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
            services.append(health.SERVICE_NAME)
        reflection.enable_server_reflection(services, server)
        addresses = [f"{self._host}:{flags.port}"] if flags.port else []
        addresses += [f"unix:{flags.grpc_socket_path}"] if flags.grpc_socket_path else []
        try:
            for address in addresses:
                if self._ssl is not None:
                    server.add_secure_port(address, _credentials(self._ssl))
                else:
                    server.add_insecure_port(address)
        except (RuntimeError, ValueError) as error:
            _log.error("%s", error)
            raise InvalidArgument("Failed to BuildAndStart gRPC server") from None
        server.start()
        for address in addresses:
            _log.info("Running gRPC ModelServer at %s ...", address)
        return server

    def _start_http(self) -> HttpServer | None:
        flags, prometheus = self._flags, self._monitoring.prometheus_config
        if not flags.rest_api_port:
            return None
        if flags.rest_api_port == flags.port:
            _log.error("--rest_api_port is the same as --port: name another one. There is no HTTP/REST API.")
            return None
        api = RestApi(
            self.core,
            threads=flags.rest_api_num_threads,
            timeout_s=flags.rest_api_timeout_in_ms / 1000 if flags.rest_api_timeout_in_ms > 0 else None,
            cors=flags.rest_api_enable_cors_support,
            metrics_path=(prometheus.path or DEFAULT_PATH) if prometheus.enable else None,
        )
        try:
            http = HttpServer(api, self._host, flags.rest_api_port)
        except OSError as error:
            _log.error("Failed to start HTTP Server at localhost:%d: %s", flags.rest_api_port, error)
            return None
        _log.info("Exporting HTTP/REST API at:localhost:%d ...", flags.rest_api_port)
        return http


def _check(flags: Flags) -> None:
    if not flags.port and not flags.grpc_socket_path:
        raise InvalidArgument(
            "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set."
        )
    if flags.use_alts_credentials and flags.ssl_config_file:
        raise InvalidArgument("Either use_alts_credentials must be false or ssl_config_file must be empty.")
    if not flags.model_base_path and not flags.model_config_file:
        raise InvalidArgument("Both server_options.model_base_path and server_options.model_config_file are empty!")


def _models(flags: Flags) -> Any:
    if flags.model_config_file:
        return read_message(flags.model_config_file, model_server_config_pb2.ModelServerConfig)
    return single_model(flags.model_name, flags.model_base_path)


def _batching_parameters(flags: Flags) -> Any:
    if flags.enable_batching:
        if flags.batching_parameters_file:
            return read_message(flags.batching_parameters_file, BatchingParameters)
        return BatchingParameters(thread_pool_name={"value": "model_server_batch_threads"})
    if flags.batching_parameters_file:
        raise InvalidArgument(
            "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
        )
    return None


def _session_config(flags: Flags) -> Any:
    config = config_pb2.ConfigProto()
    if flags.tensorflow_session_config_file:
        config = read_message(flags.tensorflow_session_config_file, config_pb2.ConfigProto)
    intra, inter = flags.tensorflow_intra_op_parallelism, flags.tensorflow_inter_op_parallelism
    both = flags.tensorflow_session_parallelism
    if intra > 0 and inter > 0 and both > 0:
        raise InvalidArgument(
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) "
            "separately. You cannot configure all."
        )
    separately = intra > 0 or inter > 0
    config.intra_op_parallelism_threads = intra if separately else both
    config.inter_op_parallelism_threads = inter if separately else both
    return config


def _channel_arguments(text: str) -> dict[str, int | str]:
    found: dict[str, int | str] = {}
    for argument in filter(None, text.split(",")):
        key, equals, value = argument.partition("=")
        if not equals:
            raise InvalidArgument(f"--grpc_channel_arguments: {argument}: accepted: key=value,key=value.")
        try:
            found[key] = int(value)
        except ValueError:
            found[key] = value
    return found


def _credentials(ssl: Any) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(ssl.server_key.encode(), ssl.server_cert.encode())],
        root_certificates=ssl.custom_ca.encode() or None,
        require_client_auth=ssl.client_verify,
    )
