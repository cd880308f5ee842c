"""What stops a server from starting, and what its flags and files do."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import flatbuffers
import grpc
import numpy as np
import pytest
import tensorflow as tf
from flatbuffers import flexbuffers
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.lite.python import schema_py_generated
from tensorflow_serving.apis import inference_pb2, prediction_service_pb2_grpc

from pipeline.serving.model_server.flags import EVERY_INTERFACE, Flags
from pipeline.serving.model_server.server import ModelServer
from pipeline.serving.model_server.status import ServingError
from tests.pipeline.serving.model_server.models import Linear
from tests.pipeline.serving.model_server.serving import (
    Client,
    config,
    floats,
    predict_request,
    running,
    write,
)
from tests.pipeline.stores.servers import free_port


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "Both server_options.model_base_path and server_options.model_config_file are empty!"),
        (
            {"model_base_path": "/m", "port": 0},
            "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set.",
        ),
        (
            {"model_base_path": "/m", "use_alts_credentials": True, "ssl_config_file": "f"},
            "Either use_alts_credentials must be false or ssl_config_file must be empty.",
        ),
        (
            {"model_base_path": "/m", "batching_parameters_file": "f"},
            "server_options.batching_parameters_file is set without setting server_options.enable_batching to true.",
        ),
        (
            {
                "model_base_path": "/m",
                "tensorflow_session_parallelism": 1,
                "tensorflow_intra_op_parallelism": 1,
                "tensorflow_inter_op_parallelism": 1,
            },
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) "
            "separately. You cannot configure all.",
        ),
    ],
)
def test_flags_that_contradict_each_other(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ServingError) as raised:
        ModelServer(Flags(**flags), EVERY_INTERFACE)
    assert str(raised.value) == f"INVALID_ARGUMENT: {message}"


@pytest.mark.parametrize(
    ("flag", "kind", "text"),
    [
        ("model_config_file", "ModelServerConfig", "nonsense"),
        ("batching_parameters_file", "BatchingParameters", "max_batch_size { value: 1"),
        ("ssl_config_file", "SSLConfig", "server_key: 1"),
        ("monitoring_config_file", "MonitoringConfig", "prometheus_config { enable: 7 }"),
    ],
)
def test_files_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, kind: str, text: str
) -> None:
    flags: dict[str, Any] = {"model_base_path": "/m", "enable_batching": True, flag: str(tmp_path / "file")}
    with pytest.raises(ServingError, match=r"NOT_FOUND: .*/file; No such file or directory"):
        ModelServer(Flags(**flags), EVERY_INTERFACE)
    write(tmp_path / "file", text)
    with pytest.raises(ServingError, match=r"INVALID_ARGUMENT: Invalid protobuf file: '.*/file'"):
        ModelServer(Flags(**flags), EVERY_INTERFACE)
    assert f"Error parsing text-format tensorflow.serving.{kind}: 1:" in capsys.readouterr().err


def test_labels_in_the_first_config_need_the_flag(saved: Path, tmp_path: Path) -> None:
    fields = f'name: "m" base_path: "{saved}/linear" version_labels {{ key: "L" value: 123 }}'
    with (
        pytest.raises(ServingError, match="FAILED_PRECONDITION: Request to assign label to version 123 of model m"),
        running(model_config_file=write(tmp_path / "models", config(fields))),
    ):
        pass


def test_a_server_that_never_looks_for_versions_does_not_start(saved: Path) -> None:
    with (
        pytest.raises(ServingError, match="FAILED_PRECONDITION: file_system_poll_wait_seconds is below 0"),
        running(model_name="m", model_base_path=str(saved / "linear"), file_system_poll_wait_seconds=-1),
    ):
        pass


def test_a_port_that_is_taken(client: Client, saved: Path) -> None:
    flags = {"model_name": "m", "model_base_path": str(saved / "linear")}
    with (
        pytest.raises(ServingError, match="INVALID_ARGUMENT: Failed to BuildAndStart gRPC server"),
        running(port=client.flags.port, rest_api_port=0, **flags),
    ):
        pass


def test_metrics(client: Client) -> None:
    client.predict("linear", x=floats(2))
    with pytest.raises(grpc.RpcError):
        client.predict("linear", "S", x=floats(2))
    client.post("linear:predict", {"instances": [2]})
    both = inference_pb2.MultiInferenceRequest()
    both.tasks.add(method_name="tensorflow/serving/regress").model_spec.name = "linear"
    both.tasks[0].model_spec.signature_name = "regress_x_to_y"
    for x in (2.0, 3.0):
        example = both.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(x)
    client.prediction.MultiInference(both)
    status, headers, body = client.http("GET", "/monitoring/prometheus/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain")
    lines = body.decode().splitlines()
    assert "# TYPE :tensorflow:serving:request_count counter" in lines
    assert "# TYPE :tensorflow:serving:request_latency histogram" in lines
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert int(values[':tensorflow:serving:request_count{model_name="linear",status="OK"}']) >= 2
    assert int(values[':tensorflow:serving:request_count{model_name="linear",status="FAILED_PRECONDITION"}']) >= 1
    latency = ':tensorflow:serving:request_latency_%s{model_name="linear",API="%s",entrypoint="%s"%s}'
    assert int(values[latency % ("count", "Predict", "GRPC", "")]) >= 1
    assert int(values[latency % ("bucket", "predict", "REST", ',le="+Inf"')]) >= 1
    assert float(values[latency % ("sum", "Predict", "GRPC", "")]) > 0
    assert latency % ("bucket", "Predict", "GRPC", ',le="10"') in values
    assert latency % ("bucket", "Predict", "GRPC", ',le="188.957"') in values
    assert "# TYPE :tensorflow:serving:request_example_count_total counter" in lines
    assert int(values[':tensorflow:serving:request_example_count_total{model="linear"}']) >= 2
    assert int(values[':tensorflow:serving:request_example_counts_bucket{model="linear",le="2"}']) >= 1
    assert not any("_created" in line or "request_count_total" in line for line in lines)


def test_without_a_monitoring_config_there_are_no_metrics(saved: Path, tmp_path: Path) -> None:
    with running(model_name="m", model_base_path=str(saved / "linear"), rest_api_timeout_in_ms=0) as client:
        assert client.http("GET", "/monitoring/prometheus/metrics")[0] == 404
    monitoring = write(tmp_path / "monitoring", 'prometheus_config { enable: true path: "/m" }')
    with running(model_name="m", model_base_path=str(saved / "linear"), monitoring_config_file=monitoring) as client:
        assert client.http("GET", "/m")[0] == 200


def test_rest_requests_that_take_too_long(saved: Path) -> None:
    with running(model_name="m", model_base_path=str(saved / "kinds"), rest_api_timeout_in_ms=50) as client:
        status, reply = client.post("m:predict", {"signature_name": "slow", "instances": [20000]})
        assert (status, reply) == (504, {"error": "Timed out waiting for notification"})


def test_tls(saved: Path, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    make += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(make, check=True, capture_output=True)
    pem = {"server_key": key.read_text(), "server_cert": certificate.read_text(), "custom_ca": certificate.read_text()}
    text = "".join(f"{name}: {json.dumps(value)}\n" for name, value in pem.items()) + "client_verify: true\n"
    flags = {"model_name": "m", "model_base_path": str(saved / "linear"), "rest_api_port": 0, "port": free_port()}
    root, identity = certificate.read_bytes(), (key.read_bytes(), certificate.read_bytes())
    with running(**flags, ssl_config_file=write(tmp_path / "ssl", text)):
        for credentials, works in (
            (grpc.ssl_channel_credentials(root, *identity), True),
            (grpc.ssl_channel_credentials(root), False),
        ):
            with grpc.secure_channel(f"localhost:{flags['port']}", credentials) as channel:
                stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
                request = predict_request("m", x=floats(2))
                if works:
                    assert stub.Predict(request, timeout=10).outputs["y"].float_val[:] == [3.0]
                else:
                    with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
                        stub.Predict(request, timeout=10)


def with_metadata(content: bytes) -> bytes:
    """The model with SignatureDefs beside it, whose tensors have the names that they had before the conversion."""
    model = schema_py_generated.ModelT.InitFromPackedBuf(content)
    inside = model.subgraphs[0]
    signature = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
    for infos, alias, index in (
        (signature.inputs, "given", inside.inputs[0]),
        (signature.outputs, "y", inside.outputs[0]),
    ):
        infos[alias].name = inside.tensors[index].name.decode().partition(":")[0]
        inside.tensors[index].name = infos[alias].name
        infos[alias].name += ":0"
    packed = flexbuffers.Dumps({"serving_default": signature.SerializeToString().decode()})
    entry = schema_py_generated.MetadataT()
    entry.name, entry.buffer = "signature_defs_metadata", len(model.buffers)
    model.metadata.append(entry)
    model.buffers.append(schema_py_generated.BufferT())
    model.buffers[-1].data = list(packed)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("form", ["signature", "metadata", "neither"])
def test_tflite(tmp_path: Path, saved: Path, form: str) -> None:
    """With signatures in either form and, as old ones are, with none."""
    module = Linear(0.5, 2.0)
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serving_default": module.predict})
    if form == "signature":
        content = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert()
    else:
        function = module.predict.get_concrete_function()
        content = tf.lite.TFLiteConverter.from_concrete_functions([function], module).convert()
    base = tmp_path / "base" / "1"
    shutil.copytree(saved / "kinds" / "123", base)
    (base / "model.tflite").write_bytes(with_metadata(content) if form == "metadata" else content)
    flags = {"model_name": "m", "model_base_path": str(tmp_path / "base"), "rest_api_port": 0}
    alias = "given" if form == "metadata" else "x"
    with running(**flags, prefer_tflite_model=True) as client:
        for values in ([2.0], [2.0, 4.0, 6.0], [4.0]):
            reply = client.predict("m", "", **{alias: floats(*values)})
            (output,) = reply.outputs.values()
            assert output.float_val[:] == [value / 2 + 2 for value in values]
        with pytest.raises(grpc.RpcError, match=r"Expects arg\[0\] to be float but int64 is provided"):
            client.predict("m", "", **{alias: np.array([2], np.int64)})


def test_arguments_of_the_channel(saved: Path) -> None:
    flags = {"model_name": "m", "model_base_path": str(saved / "linear"), "rest_api_port": 0}
    with running(
        **flags, grpc_channel_arguments="grpc.max_receive_message_length=100,grpc.lb_policy_name=grpclb"
    ) as client:
        assert client.predict("m", x=floats(2)).outputs["y"].float_val[:] == [3.0]
        with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
            client.predict("m", x=np.zeros(100, np.float32))
    with (
        pytest.raises(ServingError, match="--grpc_channel_arguments: x: accepted: key=value"),
        running(**flags, grpc_channel_arguments="x"),
    ):
        pass
