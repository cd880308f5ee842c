"""What the embedded model server adds to a call of the model, and how many calls it answers.

    uv run python -m benchmarks.model_server build/serving_model/taxi

The server is a process of its own with the default flags, the clients are another one, on the same machine. Requests
are those that the newest version brings along for its warm-up: both scoring signatures with 1 and with 100 rows. In
process the same tensors go into the same SavedModel through the same callable, without protocol and sockets.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import prediction_log_pb2, prediction_service_pb2_grpc

from pipeline.serving.model_server.saved_model import SavedModel
from pipeline.serving.model_server.tensors import to_array

CALLS = 1000
CLIENTS = (1, 4, 16)
THROUGHPUT_S = 5.0


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base_path", type=Path, help="Directory of the model's versions.")
    base = parser.parse_args().base_path.absolute()
    version = max((path for path in base.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    requests = _requests(version)
    in_process = _in_process(version, requests)
    with tempfile.TemporaryDirectory() as scratch, (Path(scratch) / "log").open("w") as log:
        port, rest = _free_port(), _free_port()
        command = [sys.executable, "-m", "pipeline.cli.model_server", f"--port={port}", f"--rest_api_port={rest}"]
        command += ["--model_name=model", f"--model_base_path={base}"]
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait(server, rest)
            print(f"{'':32}{'p50 ms':>9}{'p99 ms':>9}")
            for name, request in requests.items():
                _print_times(f"{name}, in process", in_process[name])
                _print_times(f"{name}, gRPC", _grpc_times(port, request))
                if name.startswith("serving_default"):
                    _print_times(f"{name}, REST", _rest_times(rest, request))
            print(f"\n{'':32}{'a second':>9}{'p99 ms':>9}")
            for name, request in requests.items():
                for clients in CLIENTS:
                    times = _together(port, request, clients)
                    p99 = np.percentile(times, 99) * 1e3
                    print(f"{name}, {clients} clients".ljust(32) + f"{len(times) / THROUGHPUT_S:9.0f}{p99:9.2f}")
        finally:
            server.terminate()
            server.wait()


def _requests(version: Path) -> dict[str, Any]:
    """PredictRequests by signature and number of rows."""
    found = {}
    for record in tf.compat.v1.io.tf_record_iterator(str(version / "assets.extra" / "tf_serving_warmup_requests")):
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        rows = next(iter(request.inputs.values())).tensor_shape.dim[0].size
        request.model_spec.name = "model"
        found[f"{request.model_spec.signature_name}, {rows}"] = request
    return found


def _times(call: Callable[[], object], warm: int = 50) -> list[float]:
    for _ in range(warm):
        call()
    times = []
    for _ in range(CALLS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return times


def _in_process(version: Path, requests: dict[str, Any]) -> dict[str, list[float]]:
    model = SavedModel(version, ["serve"], config_pb2.ConfigProto())
    found = {}
    for name, request in requests.items():
        signature = model.signatures[request.model_spec.signature_name]
        feeds = {
            info.name: to_array(request.inputs[alias] if alias in request.inputs else signature.defaults[alias], alias)
            for alias, info in signature.inputs.items()
        }
        fetches = [info.name for info in signature.outputs.values()]
        found[name] = _times(lambda feeds=feeds, fetches=fetches: model.run(feeds, fetches))  # type: ignore[misc]
    model.close()
    return found


def _grpc_times(port: int, request: Any) -> list[float]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return _times(lambda: stub.Predict(request))


def _rest_times(port: int, request: Any) -> list[float]:
    """All inputs by columns; the API takes no signature's defaults, so presences are sent along."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models/model/metadata") as reply:
        signature = json.load(reply)["metadata"]["signature_def"]["signature_def"]["serving_default"]
    inputs = {}
    for alias in signature["inputs"]:
        values = to_array(request.inputs[alias], alias).tolist() if alias in request.inputs else []
        inputs[alias] = [value.decode() if isinstance(value, bytes) else value for value in values]
    body = json.dumps({"inputs": inputs})
    connection = HTTPConnection("127.0.0.1", port)

    def ask() -> None:
        connection.request("POST", "/v1/models/model:predict", body)
        reply = connection.getresponse()
        text = reply.read()
        if reply.status != 200:
            raise RuntimeError(text.decode())

    return _times(ask)


def _together(port: int, request: Any, clients: int) -> list[float]:
    """The times of all calls that several clients, each with a channel of its own, make in some seconds."""
    times: list[list[float]] = [[] for _ in range(clients)]
    end = time.monotonic() + THROUGHPUT_S

    def ask(mine: list[float]) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            while time.monotonic() < end:
                started = time.perf_counter()
                stub.Predict(request)
                mine.append(time.perf_counter() - started)

    threads = [threading.Thread(target=ask, args=(mine,)) for mine in times]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [each for mine in times for each in mine]


def _print_times(name: str, times: list[float]) -> None:
    p50, p99 = np.percentile(times, [50, 99]) * 1e3
    print(f"{name:32}{p50:9.2f}{p99:9.2f}", flush=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models/model").close()
            return
        except urllib.error.URLError:
            time.sleep(0.1)
    raise RuntimeError(f"the server ended with {server.returncode}")


if __name__ == "__main__":
    main()
