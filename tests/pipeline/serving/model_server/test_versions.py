"""Versions, labels and configurations of a running server."""

import itertools
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2, predict_pb2

from tests.pipeline.serving.model_server.serving import (
    Client,
    config,
    eventually,
    floats,
    predict_request,
    running,
    write,
)

X = floats(2)


def y(client: Client, model: str = "m", version: int = 0, label: str = "") -> float:
    request = predict_request(model, x=X)
    if version:
        request.model_spec.version.value = version
    if label:
        request.model_spec.version_label = label
    return float(client.prediction.Predict(request, timeout=30).outputs["y"].float_val[0])


def arrive(source: Path, base: Path, version: int) -> None:
    """The version appears at once, as a push does it."""
    shutil.copytree(source, base / f".copying-{version}")
    (base / f".copying-{version}").rename(base / str(version))


@pytest.fixture
def base(saved: Path, tmp_path: Path) -> Path:
    """A base path with version 1: y = x / 2 + 2."""
    shutil.copytree(saved / "linear" / "00000123", tmp_path / "base" / "1")
    return tmp_path / "base"


@pytest.fixture
def rolling(base: Path) -> Iterator[Client]:
    with running(model_name="m", model_base_path=str(base), max_num_load_retries=0) as client:
        yield client


def test_versions_roll_over_under_load_without_a_failed_request(
    rolling: Client, base: Path, saved: Path, other: Path
) -> None:
    stop, failures, answers = threading.Event(), [], {"grpc": set(), "rest": set()}  # type: ignore[var-annotated]

    def ask_grpc() -> None:
        while not stop.is_set():
            try:
                reply = rolling.prediction.Predict(predict_request("m", x=X), timeout=30)
                answers["grpc"].add((reply.model_spec.version.value, reply.outputs["y"].float_val[0]))
            except grpc.RpcError as error:
                failures.append(error)

    def ask_rest() -> None:
        while not stop.is_set():
            status, reply = rolling.post("m:predict", {"instances": [2]})
            if status == 200:
                answers["rest"].add(reply["predictions"][0])
            else:
                failures.append(reply)

    threads = [threading.Thread(target=each) for each in (ask_grpc, ask_grpc, ask_rest)]
    for thread in threads:
        thread.start()
    for version, source in ((2, other), (3, saved / "linear" / "00000123"), (4, other)):
        arrive(source, base, version)
        eventually(lambda number=version: rolling.states("m").get(number - 1) == "END")  # type: ignore[misc]
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert answers == {"grpc": {(1, 3.0), (2, 12.0), (3, 3.0), (4, 12.0)}, "rest": {3.0, 12.0}}
    assert rolling.states("m") == {4: "AVAILABLE", 3: "END", 2: "END", 1: "END"}


def test_a_version_that_does_not_load_is_reported_and_one_that_is_not_complete_is_not(
    rolling: Client, base: Path, other: Path
) -> None:
    (base / "2").mkdir()
    (base / "3").mkdir()
    (base / "3" / "saved_model.pb").write_bytes(b"nonsense")
    eventually(lambda: rolling.states("m") == {3: "END", 1: "AVAILABLE"})
    assert y(rolling) == 3.0
    _, reply = rolling.get("m/versions/3")
    (status,) = reply["model_version_status"]
    assert status["status"]["error_code"] != "OK"
    assert "saved_model.pb" in status["status"]["error_message"]
    arrive(other, base, 4)
    eventually(lambda: rolling.states("m") == {4: "AVAILABLE", 3: "END", 1: "END"})
    assert y(rolling) == 12.0


def test_a_request_in_flight_holds_its_version(rolling: Client, base: Path, saved: Path) -> None:
    shutil.rmtree(base / "1")
    arrive(saved / "kinds" / "123", base, 2)
    eventually(lambda: rolling.states("m") == {2: "AVAILABLE", 1: "END"})
    rolling.predict("m", "slow", turns=np.array([1], np.int32))
    running_call = rolling.prediction.Predict.future(
        predict_request("m", "slow", turns=np.array([200_000], np.int32)), timeout=60
    )
    arrive(saved / "linear" / "00000123", base, 3)
    eventually(lambda: rolling.states("m").get(2) == "UNLOADING")
    assert y(rolling) == 3.0
    assert not running_call.done()
    assert running_call.result().model_spec.version.value == 2
    eventually(lambda: rolling.states("m") == {3: "AVAILABLE", 2: "END", 1: "END"})


def reload(client: Client, text: str, *metrics: str) -> Any:
    request = model_management_pb2.ReloadConfigRequest(metric_names=metrics)
    text_format.Parse(text, request.config)
    return client.models.HandleReloadConfigRequest(request, timeout=60)


def test_configurations_labels_and_policies(base: Path, saved: Path, other: Path, tmp_path: Path) -> None:
    arrive(other, base, 2)
    every = f'name: "m" base_path: "{base}" model_version_policy {{ all {{ }} }}'
    labelled = every + ' version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 2 }'
    with running(
        model_config_file=write(tmp_path / "models", config(every)), file_system_poll_wait_seconds=0
    ) as client:
        eventually(lambda: client.states("m") == {2: "AVAILABLE", 1: "AVAILABLE"})
        assert [y(client), y(client, version=1), y(client, version=2)] == [12.0, 3.0, 12.0]
        old = f'name: "old" base_path: "{saved}/old_linear"'
        reply = reload(client, config(labelled, old), "/tensorflow/serving/request_count")
        assert (reply.status.error_code, reply.metric[0].name) == (0, "/tensorflow/serving/request_count")
        assert [y(client, label="stable"), y(client, label="canary"), y(client, "old")] == [3.0, 12.0, 3.0]
        assert client.post("m/labels/canary:predict", {"instances": [2]}) == (200, {"predictions": [12.0]})
        reload(client, config(f'name: "m" base_path: "{base}" model_version_policy {{ specific {{ versions: 1 }} }}'))
        eventually(lambda: client.states("m") == {2: "END", 1: "AVAILABLE"})
        eventually(lambda: client.states("old") == {123: "END"})
        with pytest.raises(grpc.RpcError, match=r"Servable not found for request: Latest\(old\)"):
            y(client, "old")
        for text, code, details in REFUSED:
            with pytest.raises(grpc.RpcError) as raised:
                reload(client, text.replace("BASE", str(base)))
            assert (raised.value.code().name, raised.value.details()) == (code, details)
        assert y(client) == 3.0


REFUSED = [
    (
        config('name: "m" base_path: "/a"', 'name: "m" base_path: "/b"'),
        "INVALID_ARGUMENT",
        "Illegal to list model m multiple times in config list",
    ),
    (
        config('name: "n" base_path: "a/b"'),
        "INVALID_ARGUMENT",
        "Expected model n to have an absolute path or URI; got base_path()=a/b",
    ),
    (
        'model_config_list { config { name: "m" base_path: "/a" model_platform: "other" } }',
        "INVALID_ARGUMENT",
        "Illegal to change a model's platform. For model m platform was tensorflow and new platform requested is other",
    ),
    (
        'model_config_list { config { name: "n" base_path: "/a" model_platform: "other" } }',
        "INVALID_ARGUMENT",
        "Model n requests unsupported platform other",
    ),
    (
        'model_config_list { config { name: "n" base_path: "/a" } }',
        "INVALID_ARGUMENT",
        "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, "
        "model name is n",
    ),
    (
        config('name: "m" base_path: "BASE" version_labels { key: "L" value: 7 }'),
        "FAILED_PRECONDITION",
        "Request to assign label to version 7 of model m, which is not currently available for inference",
    ),
]


def test_a_reload_of_a_model_that_cannot_be_loaded_says_so(rolling: Client, base: Path, tmp_path: Path) -> None:
    (tmp_path / "bad" / "1").mkdir(parents=True)
    (tmp_path / "bad" / "1" / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(grpc.RpcError, match=r"1 model\(s\) did not become available: \{\{\{name: bad version: 1\}"):
        reload(rolling, config(f'name: "m" base_path: "{base}"', f'name: "bad" base_path: "{tmp_path}/bad"'))
    assert y(rolling) == 3.0


def test_a_reload_ends_when_another_one_drops_its_model(rolling: Client, base: Path, tmp_path: Path) -> None:
    old = f'name: "m" base_path: "{base}"'
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(config(old, f'name: "later" base_path: "{tmp_path}/later"'), request.config)
    waiting = rolling.models.HandleReloadConfigRequest.future(request, timeout=60)
    eventually(lambda: "later" in rolling.server.core._configured())
    reload(rolling, config(old))
    with pytest.raises(grpc.RpcError, match="another configuration has dropped the model"):
        waiting.result()


def test_the_config_file_is_looked_at_again(base: Path, saved: Path, tmp_path: Path) -> None:
    file = tmp_path / "models"
    first = config(f'name: "m" base_path: "{base}"')
    write(file, first)
    with running(model_config_file=str(file), model_config_file_poll_wait_seconds=1) as client:
        write(file, "nonsense {")
        eventually(lambda: y(client) == 3.0)
        write(file, config(f'name: "old" base_path: "{saved}/old_linear"'))
        eventually(lambda: client.states("old") == {123: "AVAILABLE"} and client.states("m") == {1: "END"})


def test_a_server_waits_for_its_first_version(base: Path, tmp_path: Path) -> None:
    later = tmp_path / "later"
    timer = threading.Timer(1.5, lambda: shutil.copytree(base, later))
    timer.start()
    with running(model_name="m", model_base_path=str(later), rest_api_port=0) as client:
        assert not timer.is_alive()
        assert y(client) == 3.0


def test_requests_by_label_follow_the_label(base: Path, other: Path, tmp_path: Path) -> None:
    """A label in use moves to an available version only; a new one may come before its version if the flag says so."""
    fields = (
        f'name: "m" base_path: "{base}" model_version_policy {{ all {{ }} }} version_labels {{ key: "L" value: %d }}'
    )
    file = write(tmp_path / "models", config(fields % 1))
    with running(model_config_file=file, allow_version_labels_for_unavailable_models=True, rest_api_port=0) as client:
        assert y(client, label="L") == 3.0
        with pytest.raises(grpc.RpcError, match="which is not currently available for inference"):
            reload(client, config(fields % 2))
        arrive(other, base, 2)
        for _ in itertools.count():
            try:
                reload(client, config(fields % 2))
                break
            except grpc.RpcError:
                continue
        assert y(client, label="L") == 12.0


def test_one_stub_is_enough_for_all(rolling: Client) -> None:
    calls = [rolling.prediction.Predict.future(predict_request("m", x=floats(n)), timeout=30) for n in range(200)]
    replies: list[predict_pb2.PredictResponse] = [each.result() for each in calls]
    assert [each.outputs["y"].float_val[0] for each in replies] == [n / 2 + 2 for n in range(200)]
