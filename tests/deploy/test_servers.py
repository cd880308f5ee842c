"""The command lines of the compose file, run here: with other ports and paths, and the embedded model server."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow.parquet as pq
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from pipeline.live.metrics import READY
from pipeline.live.metrics_server import metrics_server
from pipeline.stores.store import Change, RowKey
from pipeline.stores.urls import open_store
from tests.artifacts import artifact, eval_columns, taxi
from tests.conftest import ROOT
from tests.deploy.deployed import BASE, arguments, compose, container, one, written
from tests.modules.test_export import examples
from tests.pipeline.serving.model_server.serving import eventually
from tests.pipeline.stores.servers import free_port

pytestmark = pytest.mark.slow

SERVICES = compose()["services"]
ENV = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
OURS = [sys.executable, "-m", "pipeline.cli.main"]


def here(words: list[str], places: Mapping[str, object]) -> list[str]:
    """A command line with other addresses and paths; each of them must be in it."""
    for place, other in places.items():
        assert any(place in word for word in words), f"{place} is not in {words}"
        words = [word.replace(place, str(other)) for word in words]
    return words


def healthy(service: str, places: Mapping[str, object]) -> bool:
    """Whether the service's health check is content."""
    kind, *command = SERVICES[service]["healthcheck"]["test"]
    assert kind == "CMD"
    return subprocess.run(here(command, places), capture_output=True, check=False, timeout=30).returncode == 0


@contextlib.contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process, which ends with 0 when it is asked to; unless it has been killed."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=ENV, cwd=ROOT, stdout=file, stderr=file)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) in (0, -signal.SIGKILL), log.read_text()
    finally:
        process.kill()
        process.wait()


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of a GET."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, reply.read()


class ModelServer:
    """The embedded server with the arguments of the real one."""

    def __init__(self, models: Path, directory: Path) -> None:
        """Copies the configuration, for what is written in it."""
        self.port, self.rest = free_port(), free_port()
        self.models = models
        self._config = Path(shutil.copytree(BASE, directory / "tensorflow-serving"))
        self._log = directory / "model-server.log"
        self.configure("")

    def configure(self, policy: str) -> None:
        """Writes the models' configuration with this policy of versions."""
        platform = 'model_platform: "tensorflow"'
        text = (BASE / "models.config").read_text()
        [text] = here([text], {'"/models/': f'"{self.models}/', platform: f"{platform} {policy}"})
        incoming = self._config / "incoming"
        incoming.write_text(text)
        incoming.rename(self._config / "models.config")

    @contextlib.contextmanager
    def start(self) -> Iterator[None]:
        """Starts it, and waits until the compose file's health check is content."""
        places = {
            "/etc/tensorflow-serving": self._config,
            "--port=8500": f"--port={self.port}",
            "=8501": f"={self.rest}",
            "poll_wait_seconds=30": "poll_wait_seconds=1",
            "connection_age_ms=20000": "connection_age_ms=300",
        }
        command = [sys.executable, "-m", "pipeline.cli.model_server"]
        with running([*command, *here(SERVICES["tensorflow-serving"]["command"], places)], self._log) as process:
            assert not self._healthy()

            def up() -> bool:
                assert process.poll() is None, self._log.read_text()
                return self._healthy()

            eventually(up, within_s=120)
            yield

    def _healthy(self) -> bool:
        return healthy("tensorflow-serving", {"8501": self.rest})

    def states(self) -> dict[int, str]:
        """The versions' states, as the probe of Kubernetes reads them."""
        probe = container(one(written(), "Deployment", "tensorflow-serving"))["readinessProbe"]["httpGet"]
        status, body = get(self.rest, probe["path"])
        assert status == 200
        return {int(each["version"]): each["state"] for each in json.loads(body)["model_version_status"]}


@pytest.fixture(scope="module")
def models(taxi_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the pushed models to change."""
    return Path(shutil.copytree(taxi_run / "serving_model", tmp_path_factory.mktemp("models") / "models"))


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """The model server, up."""
    made = ModelServer(models, tmp_path_factory.mktemp("server"))
    with made.start():
        yield made


def test_the_model_is_served_rolled_over_and_pinned(server: ModelServer, taxi_run: Path) -> None:
    rows = {name: values.slice(0, 100) for name, values in eval_columns(taxi_run, list(taxi().features)).items()}
    judged = (
        pq.read_table(artifact(taxi_run, "Evaluator", "evaluation") / "scores")["score"].combine_chunks().to_numpy()
    )
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "taxi"
    request.model_spec.signature_name = "serving_examples"
    request.inputs["examples"].dtype = 7
    request.inputs["examples"].tensor_shape.dim.add(size=100)
    request.inputs["examples"].string_val.extend(examples(taxi(), rows))
    answered: set[int] = set()
    failures: list[grpc.RpcError] = []
    done = threading.Event()

    def ask() -> None:
        """On one channel, whose connections the server ends again and again."""
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            while not done.is_set():
                try:
                    reply = stub.Predict(request, timeout=30)
                except grpc.RpcError as error:
                    failures.append(error)
                    return
                assert np.array(reply.outputs["score"].float_val, np.float32).tobytes() == judged[:100].tobytes()
                answered.add(reply.model_spec.version.value)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert server.states() == {1: "AVAILABLE"}
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            service = container(one(written(), "Deployment", "tensorflow-serving"))["livenessProbe"]["grpc"]["service"]
            reply = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=service), timeout=30
            )
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        incoming = shutil.copytree(server.models / "taxi" / "1", server.models / "taxi" / "incoming")
        Path(incoming).rename(server.models / "taxi" / "2")
        eventually(lambda: server.states() == {1: "END", 2: "AVAILABLE"}, within_s=60)
        eventually(lambda: 2 in answered)
        server.configure("model_version_policy { specific { versions: 1 } }")
        eventually(lambda: server.states() == {1: "AVAILABLE", 2: "END"}, within_s=60)
        status, body = get(server.rest, "/monitoring/prometheus/metrics")
        assert (status, b':tensorflow:serving:request_count{model_name="taxi",status="OK"}' in body) == (200, True)
    finally:
        done.set()
        asking.join()
    assert failures == []
    assert answered == {1, 2}


@pytest.fixture
def redis_port() -> int:
    """A port for Redis."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    return free_port()


@contextlib.contextmanager
def redis_running(command: list[str], port: int, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Redis by its command line, with its data in a directory, which is left there."""
    moved = here(command, {"/etc/redis": BASE, "/data": directory})
    with running([*moved, "--port", str(port), "--bind", "127.0.0.1"], directory / "redis.log") as process:
        yield process


def pings(probe: list[str], port: int, **env: str) -> bool:
    """Whether a probe of Redis is content."""
    command = [probe[0], "-p", str(port), *probe[1:]]
    return subprocess.run(command, env=os.environ | env, capture_output=True, check=False, timeout=30).returncode == 0


def test_redis_keeps_what_it_answered_and_evicts_nothing(redis_port: int, tmp_path: Path) -> None:
    command, [_, *probe] = SERVICES["redis"]["command"], SERVICES["redis"]["healthcheck"]["test"]
    row = RowKey("trips/company", b"key")
    assert not pings(probe, redis_port)
    with redis_running(command, redis_port, tmp_path) as process:
        eventually(lambda: pings(probe, redis_port))
        with open_store(f"redis://127.0.0.1:{redis_port}/0", "namespace") as store:
            assert store.write([Change(row, 0, b"recent", b"identities", b"older", 1)]) == []
        process.kill()
    with redis_running(command, redis_port, tmp_path):
        eventually(lambda: pings(probe, redis_port))
        with open_store(f"redis://127.0.0.1:{redis_port}/0", "namespace") as store:
            assert store.fetch([row]).rows == [(b"recent", b"older")]
        asked = ["redis-cli", "-p", str(redis_port), "CONFIG", "GET", "maxmemory-policy", "maxmemory", "appendfsync"]
        told = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30).stdout.split()
    assert dict(zip(told[::2], told[1::2], strict=True)) == {
        "maxmemory-policy": "noeviction",
        "maxmemory": str(2**30),
        "appendfsync": "always",
    }


def test_redis_on_kubernetes_lets_in_who_has_the_password(redis_port: int, tmp_path: Path) -> None:
    deployed = container(one(written(), "StatefulSet", "redis"))
    probe = deployed["readinessProbe"]["exec"]["command"]
    with redis_running(here(arguments(deployed), {"$(REDISCLI_AUTH)": "word"}), redis_port, tmp_path):
        eventually(lambda: pings(probe, redis_port, REDISCLI_AUTH="word"))
        assert not pings(probe, redis_port)
        assert not pings(probe, redis_port, REDISCLI_AUTH="other")


def test_the_stream_is_ready_once_it_merges() -> None:
    deployed = container(one(written(), "Deployment", "stream"))
    probe = deployed["readinessProbe"]["httpGet"]
    assert {port["name"]: port["containerPort"] for port in deployed["ports"]}[probe["port"]] == 9100
    assert "--metrics-port=9100" in arguments(deployed)
    with metrics_server(free_port(), "0.0.0.0") as port:
        READY.set(0)
        assert get(port, probe["path"])[0] == 503
        READY.set(1)
        assert get(port, probe["path"])[0] == 200
        READY.set(0)


def test_a_request_is_answered_by_all_of_them(
    server: ModelServer, redis_port: int, taxi_run: Path, tmp_path: Path
) -> None:
    gateway, log = free_port(), tmp_path / "gateway.log"
    redis = f"127.0.0.1:{redis_port}"
    stream = here(SERVICES["stream"]["command"], {"redis:6379": redis, "/var/lib/twinbeam": tmp_path})
    places = {
        "redis:6379": redis,
        "tensorflow-serving:8500": f"127.0.0.1:{server.port}",
        "--host=0.0.0.0": "--host=127.0.0.1",
        "8080": gateway,
    }
    serve = here(SERVICES["gateway"]["command"], places)
    with redis_running(SERVICES["redis"]["command"], redis_port, tmp_path):
        eventually(lambda: pings(SERVICES["redis"]["healthcheck"]["test"][1:], redis_port))
        streamed = subprocess.run(
            [*OURS, *stream], env=ENV, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
        )
        assert streamed.returncode == 0, streamed.stderr
        assert json.loads(streamed.stdout.splitlines()[-1])["merged"] == 30_004
        with running([*OURS, *serve], log) as process:

            def ready() -> bool:
                assert process.poll() is None, log.read_text()
                return healthy("gateway", {"8080": gateway, "python": sys.executable})

            eventually(ready, within_s=60)
            for _ in range(20):  # meanwhile the model server ends the connection several times
                reply = predict(gateway, request_of(taxi_run))
                time.sleep(0.1)
    [answer] = reply["predictions"]
    assert reply["model"]["name"] == "taxi"
    assert 0 < answer["score"] < 1
    assert answer["complete"] is True
    assert answer["live"]["area_trips_7d"]["status"] == "known"


def test_the_gateway_on_kubernetes_asks_for_a_key_over_tls(
    server: ModelServer, redis_port: int, tmp_path: Path
) -> None:
    deployed, port, log = container(one(written(), "Deployment", "gateway")), free_port(), tmp_path / "gateway.log"
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "api-key").write_text("0123456789abcdef\n")
    (tmp_path / "tls").mkdir()
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    files = ["-keyout", str(tmp_path / "tls" / "tls.key"), "-out", str(tmp_path / "tls" / "tls.crt")]
    subprocess.run([*make, *files], check=True, capture_output=True)
    places = {
        "/etc/gateway": tmp_path,
        "8443": port,
        "--host=0.0.0.0": "--host=127.0.0.1",
        "redis:6379": f"127.0.0.1:{redis_port}",
        "$(REDIS_PASSWORD)": "word",
        "tensorflow-serving:8500": f"127.0.0.1:{server.port}",
    }
    tls = ssl.create_default_context(cafile=str(tmp_path / "tls" / "tls.crt"))
    tls.check_hostname = False

    def answer(method: str, path: str, **headers: str) -> int:
        with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=tls)) as connection:
            connection.request(method, path, headers=headers)
            return connection.getresponse().status

    def alive() -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError):
            return answer("GET", deployed["startupProbe"]["httpGet"]["path"]) == 200
        return False

    redis = here(arguments(container(one(written(), "StatefulSet", "redis"))), {"$(REDISCLI_AUTH)": "word"})
    with (
        redis_running(redis, redis_port, tmp_path),
        running([*OURS, *here(arguments(deployed), places)], log) as process,
    ):
        eventually(alive, within_s=60)
        assert answer("POST", "/v1/predict") == 401
        assert answer("POST", "/v1/predict", Authorization="Bearer 0123456789abcdef") == 415
        assert answer("GET", deployed["readinessProbe"]["httpGet"]["path"]) in (200, 503)


def request_of(taxi_run: Path) -> dict[str, Any]:
    """The last row that was judged, as a caller has it: without live features, and of the clock's time."""
    names = [name for name in taxi().features if name not in taxi().live_features]
    row = {name: values[-1].as_py() for name, values in eval_columns(taxi_run, names).items()}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in row.items()}


def predict(port: int, row: dict[str, Any]) -> dict[str, Any]:
    """The reply to a prediction of one row."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        body = json.dumps({"requests": [row]})
        connection.request("POST", "/v1/predict", body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        found: dict[str, Any] = json.loads(reply.read())
    assert reply.status == 200, found
    return found
