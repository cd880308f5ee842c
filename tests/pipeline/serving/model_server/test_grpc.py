"""PredictionService and ModelService over a socket: answers, and the words and codes of errors."""

import threading
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from tests.pipeline.serving.model_server.serving import Client, floats, predict_request, running


def features(x: int) -> str:
    """The fields of an Example."""
    return f'features {{ feature {{ key: "x" value {{ float_list {{ value: {x} }} }} }} }}'


TWO = f"input {{ example_list {{ examples {{ {features(2)} }} }} }}"
BOTH = f"input {{ example_list {{ examples {{ {features(2)} }} examples {{ {features(3)} }} }} }}"
LINEAR = 'model_spec { name: "linear" }'
X = 'inputs { key: "x" value { dtype: DT_FLOAT tensor_shape { dim { size: 1 } } float_val: 2 } }'

CALLS: dict[str, Any] = {
    "Predict": predict_pb2.PredictRequest,
    "Classify": classification_pb2.ClassificationRequest,
    "Regress": regression_pb2.RegressionRequest,
    "MultiInference": inference_pb2.MultiInferenceRequest,
    "GetModelMetadata": get_model_metadata_pb2.GetModelMetadataRequest,
    "GetModelStatus": get_model_status_pb2.GetModelStatusRequest,
    "HandleReloadConfigRequest": model_management_pb2.ReloadConfigRequest,
}


def call(client: Client, name: str, text: str) -> Any:
    """Makes the call with the request in text."""
    stub = client.models if name in ("GetModelStatus", "HandleReloadConfigRequest") else client.prediction
    return getattr(stub, name)(text_format.Parse(text, CALLS[name]()), timeout=30)


def spec(fields: str) -> str:
    return f"model_spec {{ {fields} }}"


def task(signature: str, method: str, model: str = "linear") -> str:
    return (
        f'tasks {{ model_spec {{ name: "{model}" signature_name: "{signature}" }} '
        f'method_name: "tensorflow/serving/{method}" }}'
    )


@pytest.mark.parametrize("model", ["linear", "old_linear"])
def test_predict(client: Client, model: str) -> None:
    reply = client.predict(model, x=floats(2, 3))
    assert reply.outputs["y"].float_val[:] == [3.0, 3.5]
    assert not reply.outputs["y"].tensor_content
    assert text_format.MessageToString(reply.model_spec, as_one_line=True) == (
        f'name: "{model}" version {{ value: 123 }} signature_name: "serving_default"'
    )


def test_predict_takes_any_signature_and_filters_outputs(client: Client) -> None:
    serialized = tf.train.Example(
        features=tf.train.Features(feature={"x": tf.train.Feature(float_list=tf.train.FloatList(value=[2]))})
    ).SerializeToString()
    request = predict_request("linear", "classify_x_to_y", inputs=[serialized])
    assert set(client.prediction.Predict(request).outputs) == {"classes", "scores"}
    request.output_filter.append("scores")
    assert dict(client.prediction.Predict(request).outputs)["scores"].float_val[:] == [3.0]
    assert set(client.prediction.Predict(request).outputs) == {"scores"}


@pytest.mark.parametrize("model", ["linear", "old_linear"])
def test_classify_regress_and_both_at_once(client: Client, model: str) -> None:
    classified = call(
        client, "Classify", spec(f'name: "{model}" signature_name: "classify_x_to_y"') + TWO
    ).result.classifications
    (only,) = classified
    assert [(each.label, each.score) for each in only.classes] == [("3.0" if model == "linear" else "", 3.0)]
    reply = call(client, "Regress", spec(f'name: "{model}" signature_name: "regress_x_to_y"') + TWO)
    assert [each.value for each in reply.result.regressions] == [3.0]
    assert (reply.model_spec.signature_name, reply.model_spec.version.value) == ("regress_x_to_y", 123)
    reply = call(
        client,
        "MultiInference",
        task("regress_x_to_y", "regress", model) + task("classify_x_to_y", "classify", model) + TWO,
    )
    assert reply.results[0].regression_result.regressions[0].value == 3.0
    assert reply.results[1].classification_result.classifications[0].classes[0].score == 3.0
    assert reply.results[1].model_spec.signature_name == "classify_x_to_y"


@pytest.mark.parametrize(("own", "expected"), [("", 3.0), (features(4), 4.0)])
def test_the_context_of_examples(client: Client, own: str, expected: float) -> None:
    """It holds for examples that do not say otherwise."""
    text = (
        f"input {{ example_list_with_context {{ context {{ {features(2)} }} examples {{ {own} }} examples {{ }} }} }}"
    )
    reply = call(client, "Regress", spec('name: "linear" signature_name: "regress_x_to_y"') + text)
    assert [each.value for each in reply.result.regressions] == [expected, 3.0]


def test_metadata_and_status(client: Client) -> None:
    reply = call(client, "GetModelMetadata", LINEAR + 'metadata_field: "signature_def"')
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert reply.metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["serving_default"].inputs["x"].dtype == tf.float32.as_datatype_enum
    assert text_format.MessageToString(reply.model_spec, as_one_line=True) == 'name: "linear" version { value: 123 }'
    for fields in ('name: "linear"', 'name: "linear" version { value: 123 }', 'name: "linear" version_label: "no"'):
        reply = call(client, "GetModelStatus", spec(fields))
        (status,) = reply.model_version_status
        assert (status.version, status.state, status.status.error_code) == (123, 30, 0)


INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
FAILED, UNIMPLEMENTED = grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED
SIZE = "input size does not match signature: %s len({%s}) != len({x}). Sent extra: {%s}. Missing but required: {%s}."
ERRORS = [
    ("Predict", "", INVALID, "Missing ModelSpec"),
    ("Predict", "model_spec { }", INVALID, "ModelSpec has no name specified."),
    ("Predict", spec('name: "no"'), NOT_FOUND, "Servable not found for request: Latest(no)"),
    (
        "Predict",
        spec('name: "linear" version { value: 99 }'),
        NOT_FOUND,
        "Servable not found for request: Specific(linear, 99)",
    ),
    ("Predict", spec('name: "linear" version_label: "L"'), INVALID, "Unrecognized servable version label: L"),
    ("Predict", spec('name: "no" version_label: "L"'), INVALID, "Unrecognized servable version label: L"),
    ("Predict", spec('name: "linear" signature_name: "S"'), FAILED, 'Serving signature key "S" not found.'),
    ("Predict", LINEAR, INVALID, SIZE % ("0!=1", "", "", "x")),
    ("Predict", LINEAR + X + X.replace('"x"', '"b"'), INVALID, SIZE % ("2!=1", "b,x", "b", "")),
    (
        "Predict",
        LINEAR + X.replace('"x"', '"b"'),
        INVALID,
        "Signature input alias: x(feed name: serving_default_x:0) not found in request and no default value provided. "
        "Inputs expected to be in the request {b}, or default input alias set: ",
    ),
    (
        "Predict",
        spec('name: "kinds" signature_name: "with_default"') + X + X.replace('"x"', '"b"'),
        INVALID,
        "Inputs contains invalid name. Used request inputs: x, request input: b,x",
    ),
    ("Predict", LINEAR + 'inputs { key: "x" value { dtype: DT_INVALID } }', INVALID, "tensor parsing error: x"),
    (
        "Predict",
        LINEAR + X + 'output_filter: "f"',
        INVALID,
        "output tensor alias not found in signature: f Outputs expected to be in the set {y}.",
    ),
    ("Predict", LINEAR + X + 'output_filter: ["y", "y"]', INVALID, "duplicate output tensor alias: y"),
    (
        "Predict",
        LINEAR + 'inputs { key: "x" value { dtype: DT_STRING string_val: "a" } }',
        INVALID,
        "Expects arg[0] to be float but string is provided",
    ),
    ("Classify", "", INVALID, "Missing ModelSpec"),
    ("Classify", spec('name: "linear" signature_name: "S"') + TWO, INVALID, "No signature was found with the name: S"),
    ("Classify", spec('name: "linear" signature_name: "classify_x_to_y"'), INVALID, "Input is empty."),
    ("Classify", spec('name: "kinds"') + TWO, INVALID, "Expected one input Tensor."),
    ("Classify", LINEAR + TWO, INVALID, "No classification inputs found in SignatureDef: inputs {"),
    (
        "Classify",
        spec('name: "linear" signature_name: "regress_x_to_y"') + TWO,
        INVALID,
        'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was: ',
    ),
    (
        "Classify",
        spec('name: "linear" signature_name: "flat"') + TWO,
        INVALID,
        "Expected Tensor shape: [batch_size num_classes] but got [1]",
    ),
    (
        "Classify",
        spec('name: "linear" signature_name: "one_row"') + BOTH,
        INVALID,
        "Expected scores output batch size of 2. Got: 1",
    ),
    (
        "Classify",
        spec('name: "kinds" signature_name: "ragged"') + TWO,
        INVALID,
        "No classification inputs found in SignatureDef: ",
    ),
    ("Regress", "", INVALID, "Missing ModelSpec"),
    ("Regress", spec('name: "linear" signature_name: "S"') + TWO, INVALID, "No signature was found with the name: S"),
    ("Regress", spec('name: "linear" signature_name: "regress_x_to_y"'), INVALID, "Input is empty."),
    ("Regress", spec('name: "linear" signature_name: "one_row"') + TWO, INVALID, "Expected one output Tensor."),
    ("Regress", LINEAR + TWO, INVALID, "No regression inputs found in SignatureDef: "),
    (
        "Regress",
        spec('name: "linear" signature_name: "flat"') + TWO,
        INVALID,
        "No regression outputs found in SignatureDef: ",
    ),
    (
        "Regress",
        spec('name: "linear" signature_name: "doubles"') + TWO,
        INVALID,
        "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE",
    ),
    ("MultiInference", TWO, INVALID, "ModelSpec has no name specified."),
    (
        "MultiInference",
        task("regress_x_to_y", "regress") + task("regress_x_to_y", "regress", "old_linear") + TWO,
        INVALID,
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    ),
    (
        "MultiInference",
        task("regress_x_to_y", "regress") + task("regress_x_to_y", "regress") + TWO,
        INVALID,
        "Duplicate evaluation of signature: regress_x_to_y",
    ),
    (
        "MultiInference",
        task("S", "regress") + TWO,
        INVALID,
        "Requested signature not found in model graph: S",
    ),
    (
        "MultiInference",
        task("regress_x_to_y", "predict") + TWO,
        UNIMPLEMENTED,
        "Unsupported signature method_name: tensorflow/serving/predict",
    ),
    ("GetModelMetadata", "", INVALID, "Missing ModelSpec"),
    ("GetModelMetadata", LINEAR, INVALID, "GetModelMetadataRequest must specify at least one metadata_field"),
    ("GetModelMetadata", LINEAR + 'metadata_field: "F"', INVALID, "Metadata field F is not supported"),
    ("GetModelStatus", "", INVALID, "Missing ModelSpec"),
    ("GetModelStatus", spec('name: "no"'), NOT_FOUND, "Could not find any versions of model no"),
    (
        "GetModelStatus",
        spec('name: "linear" version { value: 9 }'),
        NOT_FOUND,
        "Could not find version 9 of model linear",
    ),
    (
        "HandleReloadConfigRequest",
        "",
        INVALID,
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
        "supported",
    ),
]


@pytest.mark.parametrize(("name", "text", "code", "details"), ERRORS)
def test_errors(client: Client, name: str, text: str, code: grpc.StatusCode, details: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        call(client, name, text)
    assert raised.value.code() is code
    said = raised.value.details()
    assert said.startswith(details) if details.endswith((": ", "{")) else said == details


def test_long_details_are_cut(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        client.predict("kinds", "failing", x=floats(-1))
    assert raised.value.code() is INVALID
    assert raised.value.details().endswith("xxx...TRUNCATED")
    assert len(raised.value.details()) == 1024 + len("...TRUNCATED")


def test_large_messages_pass(client: Client) -> None:
    reply = client.predict("kinds", "string", x=np.array([b"x" * 20_000_000], object))
    assert len(reply.outputs["x"].string_val[0]) == 20_000_000


@pytest.mark.parametrize("method", ["Predict", "Classify"])
def test_bytes_that_are_no_message(client: Client, method: str) -> None:
    send = client.channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")
    with pytest.raises(grpc.RpcError) as raised:
        send(b"\xff\xff\xff", timeout=10)
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert client.predict("linear", x=floats(2)).outputs["y"].float_val[:] == [3.0]


def test_a_client_that_gives_up_leaves_the_server_well(client: Client) -> None:
    client.predict("kinds", "slow", turns=np.array([1], np.int32))
    request = predict_request("kinds", "slow", turns=np.array([3000], np.int32))
    with pytest.raises(grpc.RpcError) as raised:
        client.prediction.Predict(request, timeout=0.01)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    for waiting in [client.prediction.Predict.future(request) for _ in range(30)]:
        waiting.cancel()
    assert client.predict("linear", x=floats(2)).outputs["y"].float_val[:] == [3.0]


def test_probes_are_answered_while_requests_wait_and_streams_are_idle(saved: Path) -> None:
    flags = {"model_name": "m", "model_base_path": str(saved / "kinds"), "rest_api_port": 0, "grpc_max_threads": 1}
    with running(**flags, enable_grpc_healthcheck_service=True) as client:
        client.predict("m", "slow", turns=np.array([1], np.int32))
        request = predict_request("m", "slow", turns=np.array([200_000], np.int32))
        waiting = [client.prediction.Predict.future(request, timeout=60) for _ in range(50)]
        reflect, end = reflection_pb2_grpc.ServerReflectionStub(client.channel), threading.Event()
        idle = [reflect.ServerReflectionInfo(iter(end.wait, True)) for _ in range(50)]
        asked = health_pb2.HealthCheckRequest()
        assert health_pb2_grpc.HealthStub(client.channel).Check(asked, timeout=10).status == 1
        status = get_model_status_pb2.GetModelStatusRequest()
        status.model_spec.name = "m"
        assert client.models.GetModelStatus(status, timeout=10).model_version_status[0].state == 30
        assert not any(each.done() for each in waiting)
        for each in (*waiting, *idle):
            each.cancel()
        end.set()


def test_health(client: Client) -> None:
    stub = health_pb2_grpc.HealthStub(client.channel)
    for service in ("", "ModelService", "PredictionService"):
        assert stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status == 1


def test_reflection(client: Client) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (reply,) = stub.ServerReflectionInfo(iter([request]), timeout=10)
    listed = [each.name for each in reply.list_services_response.service]
    assert set(listed) >= {
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
        "grpc.health.v1.Health",
    }
    requests = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in listed]
    for name, reply in zip(listed, stub.ServerReflectionInfo(iter(requests), timeout=10), strict=True):
        files = map(descriptor_pb2.FileDescriptorProto.FromString, reply.file_descriptor_response.file_descriptor_proto)
        assert name in {f"{file.package}.{service.name}" for file in files for service in file.service}


def test_the_socket(client: Client) -> None:
    with grpc.insecure_channel(f"unix:{client.flags.grpc_socket_path}") as channel:
        send = channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict",
            predict_pb2.PredictRequest.SerializeToString,
            predict_pb2.PredictResponse.FromString,
        )
        assert send(predict_request("linear", x=floats(2)), timeout=10).outputs["y"].float_val[:] == [3.0]


def test_method_names_are_checked_and_replies_are_content_on_request(saved: Any) -> None:
    with running(
        model_name="old",
        model_base_path=str(saved / "old_linear"),
        rest_api_port=0,
        enable_signature_method_name_check=True,
        enable_serialization_as_tensor_content=True,
    ) as client:
        assert np.frombuffer(client.predict("old", x=floats(2)).outputs["y"].tensor_content, np.float32) == [3]
        with pytest.raises(grpc.RpcError, match=r"method_name to be tensorflow/serving/classify\. Was: "):
            call(client, "Classify", spec('name: "old" signature_name: "regress_x_to_y"') + TWO)
        stub = health_pb2_grpc.HealthStub(client.channel)
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
