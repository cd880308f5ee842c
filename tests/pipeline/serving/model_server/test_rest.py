"""The REST API over a socket: answers, and the words and codes of errors."""

import gzip
import http.client
import json
import socket
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.serving.model_server import rest
from tests.pipeline.serving.model_server.serving import Client

LINEAR = "linear:predict"
KINDS = "kinds:predict"


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (LINEAR, {"instances": [2, 3.0, 4]}, {"predictions": [3.0, 3.5, 4.0]}),
        (LINEAR, {"inputs": [2.0, 3.0]}, {"outputs": [3.0, 3.5]}),
        (LINEAR, {"inputs": {"x": [2.0]}}, {"outputs": [3.0]}),
        (LINEAR, {"instances": [{"x": 2}]}, {"predictions": [3.0]}),
        ("LINEAR".lower() + "/versions/123:predict", {"instances": [2]}, {"predictions": [3.0]}),
        ("linear/labels/stable:predict", {"instances": [2]}, {"predictions": [3.0]}),
        ("a%20b:predict", {"instances": [2]}, {"predictions": [3.0]}),
        ("old_linear:predict", {"instances": [[2.0], [3.0]]}, {"predictions": [[3.0], [3.5]]}),
        ("keras_model:predict", {"instances": [[1]]}, {"predictions": [[3.0]]}),
        (LINEAR, {"signature_name": "serving_default", "instances": [2]}, {"predictions": [3.0]}),
        (
            KINDS,
            {"instances": [{"text": "å", "pair": [1, 2]}, {"text": {"b64": "AP8="}, "pair": [3, 4]}]},
            {
                "predictions": [
                    {"text_bytes": {"b64": "w6U="}, "total": 3.0, "upper": "å"},
                    {"text_bytes": {"b64": "AP8="}, "total": 7.0, "upper": "\x00\udcff"},
                ]
            },
        ),
        (
            KINDS,
            {"inputs": {"text": ["a"], "pair": [[1, 2]]}},
            {"outputs": {"text_bytes": [{"b64": "YQ=="}], "total": [3.0], "upper": ["A"]}},
        ),
        (KINDS, {"signature_name": "scalar", "inputs": [1, 2]}, {"outputs": 2}),
        (KINDS, {"signature_name": "bool", "instances": [True, False]}, {"predictions": [True, False]}),
        (KINDS, {"signature_name": "string", "inputs": "a"}, {"outputs": "a"}),
        (KINDS, {"signature_name": "float", "inputs": []}, {"outputs": []}),
        (KINDS, {"signature_name": "float", "instances": [[], []]}, {"predictions": [[], []]}),
        (KINDS, {"signature_name": "float", "inputs": [[], []]}, {"outputs": [[], []]}),
        (KINDS, {"signature_name": "float", "instances": [1e300, -1e300]}, {"predictions": [1e999, -1e999]}),
        (KINDS, {"signature_name": "uint8", "instances": [300]}, {"predictions": [44]}),
        *(
            (
                KINDS,
                {"signature_name": kind, "instances": [[[least]], [[most]]]},
                {"predictions": [[[least]], [[most]]]},
            )
            for kind, least, most in (
                ("int8", -128, 127),
                ("int16", -(2**15), 2**15 - 1),
                ("int32", -(2**31), 2**31 - 1),
                ("int64", -(2**63), 2**63 - 1),
                ("uint8", 0, 255),
                ("uint32", 0, 2**32 - 1),
                ("uint64", 0, 2**64 - 1),
            )
        ),
        (
            "linear:classify",
            {"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]},
            {"results": [[["3.0", 3.0]]]},
        ),
        ("linear:regress", {"signature_name": "regress_x_to_y", "examples": [{"x": 2.0}]}, {"results": [3.0]}),
        (
            "linear:regress",
            {"signature_name": "regress_x_to_y", "context": {"x": [2.0]}, "examples": [{}, {"x": 4.0}]},
            {"results": [3.0, 4.0]},
        ),
    ],
)
def test_answers(client: Client, path: str, body: Any, expected: Any) -> None:
    status, headers, reply = client.http("POST", f"/v1/models/{path}", json.dumps(body))
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(reply.decode("utf-8", "surrogateescape")) == expected


def test_how_replies_are_laid_out(client: Client) -> None:
    def text(path: str, body: Any) -> str:
        return client.http("POST", f"/v1/models/{path}", json.dumps(body))[2].decode()

    assert text(LINEAR, {"instances": [2, 3]}) == '{\n    "predictions": [3.0, 3.5\n    ]\n}'
    assert text(LINEAR, {"inputs": [2]}) == '{\n    "outputs": [\n        3.0\n    ]\n}'
    assert text(KINDS, {"instances": [{"text": "a", "pair": [1, 2]}]}) == (
        '{\n    "predictions": [\n        {\n            "text_bytes": {\n                "b64": "YQ=="\n'
        '            },\n            "total": 3.0,\n            "upper": "A"\n        }\n    ]\n}'
    )
    assert text("no:predict", {"instances": [2]}) == ('{\n    "error": "Servable not found for request: Latest(no)"\n}')


@pytest.mark.parametrize(
    "path", ["linear", "linear/versions/123", "linear/labels/stable", "LINEAR".lower() + "/labels/x"]
)
def test_status(client: Client, path: str) -> None:
    ok = {"error_code": "OK", "error_message": ""}
    expected = {"model_version_status": [{"version": "123", "state": "AVAILABLE", "status": ok}]}
    assert client.get(path) == (200, expected)


@pytest.mark.parametrize("path", ["linear/metadata", "linear/versions/123/metadata", "linear/labels/stable/metadata"])
def test_metadata(client: Client, path: str) -> None:
    status, reply = client.get(path)
    assert status == 200
    assert reply["model_spec"] == {"name": "linear", "signature_name": "", "version": "123"}
    assert reply["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"] == {
        "x": {
            "dtype": "DT_FLOAT",
            "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
            "name": "serving_default_x:0",
        }
    }


REQUEST = "JSON Value: {\n"
ERRORS = [
    ("GET", "foo", "", 400, "Malformed request: GET /v1/foo"),
    ("POST", "foo", "", 400, "Malformed request: POST /v1/foo"),
    ("PUT", "models/linear:predict", "{}", 400, "Malformed request: PUT /v1/models/linear:predict"),
    ("GET", "models", "", 400, "Missing model name in request."),
    ("POST", "models", "", 400, "Malformed request: POST /v1/models"),
    ("GET", "models/linear:predict", "", 400, "Malformed request: GET /v1/models/linear:predict"),
    ("GET", "models/a/b", "", 400, "Malformed request: GET /v1/models/a/b"),
    ("POST", "models/linear/metadata", "", 400, "Malformed request: POST /v1/models/linear/metadata"),
    (
        "POST",
        "models/linear/versions/x:predict",
        "",
        400,
        "Malformed request: POST /v1/models/linear/versions/x:predict",
    ),
    (
        "POST",
        f"models/linear/versions/{2**64}:predict",
        "",
        400,
        f"Failed to convert version: {2**64} to numeric.",
    ),
    ("GET", f"models/linear/versions/{'9' * 5000}", "", 400, f"Failed to convert version: {'9' * 5000} to numeric."),
    ("GET", f"models/linear/versions/{'0' * 50}9", "", 404, "Could not find version 9 of model linear"),
    ("GET", "models/no", "", 404, "Could not find any versions of model no"),
    ("GET", "models/no/metadata", "", 404, "Servable not found for request: Latest(no)"),
    (
        "POST",
        "models/linear/versions/9:predict",
        '{"instances": [1]}',
        404,
        "Servable not found for request: Specific(linear, 9)",
    ),
    ("POST", "models/linear/labels/L:predict", '{"instances": [1]}', 400, "Unrecognized servable version label: L"),
    ("POST", LINEAR, "", 400, "JSON Parse error: The document is empty"),
    ("POST", LINEAR, "instances = [1]", 400, "JSON Parse error: Invalid value. at offset: 0"),
    (
        "POST",
        LINEAR,
        '{"instances": [1 2]}',
        400,
        "JSON Parse error: Missing a comma or ] after an array element. at offset: 17",
    ),
    (
        "POST",
        LINEAR,
        '{"a": 1 "b": 2}',
        400,
        "JSON Parse error: Missing a comma or } after an object member. at offset: 8",
    ),
    ("POST", LINEAR, "{1: 2}", 400, "JSON Parse error: Missing a name for object member. at offset: 1"),
    ("POST", LINEAR, "[1]", 400, "JSON Value: [1] Is not object"),
    ("POST", LINEAR, '{"instances": ' + "[" * 100_000, 400, "JSON Parse error: "),
    ("POST", LINEAR, '{"instances": [' + "9" * 5000 + "]}", 400, "JSON Parse error: "),
    ("POST", LINEAR, '{"signature_name": 1}', 400, REQUEST),
    ("POST", LINEAR, '{"signature_name": "S"}', 400, 'Serving signature name: "S" not found in signature def'),
    ("POST", LINEAR, "{}", 400, "Missing 'inputs' or 'instances' key"),
    ("POST", LINEAR, '{"instances": [1], "inputs": [1]}', 400, REQUEST),
    ("POST", LINEAR, '{"instances": 1}', 400, REQUEST),
    ("POST", LINEAR, '{"instances": []}', 400, REQUEST),
    (
        "POST",
        LINEAR,
        '{"instances": ["x"]}',
        400,
        "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"x\" Type: String is "
        "not of expected type: float",
    ),
    (
        "POST",
        LINEAR,
        '{"instances": [1, true]}',
        400,
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: true Type: True is not "
        "of expected type: float",
    ),
    (
        "POST",
        LINEAR,
        '{"instances": [1, [1]]}',
        400,
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape [] but got: [1]",
    ),
    (
        "POST",
        LINEAR,
        '{"instances": [[1, 2], [1]]}',
        400,
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2 but got: "
        "1",
    ),
    (
        "POST",
        LINEAR,
        '{"inputs": [[1, 2], [1]]}',
        400,
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
    ),
    (
        "POST",
        LINEAR,
        '{"inputs": [[1], 2]}',
        400,
        "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
    ),
    ("POST", LINEAR, '{"inputs": [1, [2]]}', 400, "Encountered list at unexpected level: 1 expected < 1"),
    ("POST", LINEAR, '{"inputs": {"z": 1}}', 400, "Missing named input: x in 'inputs' object."),
    (
        "POST",
        LINEAR,
        '{"instances": [{"x": 1}, 2]}',
        400,
        "Expecting object but got list at item 1 of input list",
    ),
    (
        "POST",
        LINEAR,
        '{"instances": [1, {"x": 1}]}',
        400,
        "Expecting value/list but got object at item 1 of input list",
    ),
    (
        "POST",
        LINEAR,
        '{"instances": [{"z": 1}]}',
        400,
        "Failed to process element: 0 key: z of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have "
        "named input: z",
    ),
    (
        "POST",
        KINDS,
        '{"instances": [{"text": "a"}]}',
        400,
        'Failed to process element: 0 of \'instances\' list. JSON object: {\n    "text": "a"\n} keys must be equal to: '
        "pair,text",
    ),
    (
        "POST",
        KINDS,
        '{"instances": ["a"]}',
        400,
        "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
        "tensorinfo_map",
    ),
    (
        "POST",
        KINDS,
        '{"inputs": ["a"]}',
        400,
        "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
        "tensorinfo_map",
    ),
    *(
        (
            "POST",
            KINDS,
            json.dumps({"signature_name": kind, "inputs": [value]}),
            400,
            f"JSON Value: {json.dumps(value)} Type: {shown} is not of expected type: {kind}",
        )
        for kind, value, shown in (
            ("int32", 1.0, "Number"),
            ("int32", 2**31, "Number"),
            ("int64", 2**63, "Number"),
            ("int64", True, "True"),
            ("uint32", -1, "Number"),
            ("uint64", 2**64, "Number"),
            ("bool", 1, "Number"),
            ("string", 1, "Number"),
            ("string", None, "Null"),
            ("double", "1", "String"),
        )
    ),
    ("POST", KINDS, '{"signature_name": "string", "inputs": [{"b64": "%"}]}', 400, "Unable to base64 decode"),
    (
        "POST",
        KINDS,
        '{"signature_name": "string", "inputs": [{"b65": ""}]}',
        400,
        'JSON Value: {\n    "b65": ""\n} not formatted correctly for base64 data',
    ),
    ("POST", KINDS, '{"signature_name": "string", "inputs": ["\\ud800"]}', 400, "JSON Parse error: The surrogate pair"),
    (
        "POST",
        KINDS,
        '{"signature_name": "complex", "inputs": [1]}',
        501,
        "Conversion of JSON Value: 1 to type: complex64",
    ),
    (
        "POST",
        KINDS,
        '{"signature_name": "scalar", "instances": [1]}',
        400,
        "Tensor name: rows has no shape information ",
    ),
    (
        "POST",
        KINDS,
        '{"signature_name": "ragged", "instances": [1, 2]}',
        400,
        "Tensor name: first has inconsistent batch size: 1 expecting: 2",
    ),
    (
        "POST",
        "linear:classify",
        "{}",
        400,
        "JSON Value: {} When method is classify, key 'examples' is expected and was not found",
    ),
    ("POST", "linear:regress", '{"examples": 1}', 400, REQUEST),
    ("POST", "linear:regress", '{"examples": []}', 400, REQUEST),
    ("POST", "linear:regress", '{"examples": [1]}', 400, "Example must be JSON object but got JSON Number"),
    (
        "POST",
        "linear:regress",
        '{"examples": [{"x": null}]}',
        400,
        "Feature: x has element with unexpected JSON type: Null",
    ),
    (
        "POST",
        "linear:regress",
        '{"examples": [{"x": [[1]]}]}',
        400,
        "Feature: x has element with unexpected JSON type: Array",
    ),
    (
        "POST",
        "linear:regress",
        '{"examples": [{"x": [1, 1.0]}]}',
        400,
        "Unexpected element type in feature: x expecting type: int64",
    ),
    (
        "POST",
        "linear:regress",
        '{"examples": [{"x": ["a", 1]}]}',
        400,
        "Unexpected element type in feature: x expecting type: bytes",
    ),
    (
        "POST",
        "linear:regress",
        json.dumps({"examples": [{"x": 2**63}]}),
        400,
        "Feature: x has uint64_t element. Only int64_t is supported.",
    ),
    ("POST", "linear:regress", '{"examples": [{"x": 1.0}]}', 400, "No regression inputs found in SignatureDef: "),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "message"), ERRORS)
def test_errors(client: Client, method: str, path: str, body: str, status: int, message: str) -> None:
    path = f"/v1/{'models/' if ':' in path and not path.startswith('models') else ''}{path}"
    found, headers, reply = client.http(method, path, body)
    said = json.loads(reply)["error"]
    assert (found, headers["content-type"]) == (status, "application/json"), said
    assert said.startswith(message) if message.endswith((": ", "\n", "pair")) else said == message


def test_what_is_no_api(client: Client) -> None:
    assert client.http("GET", "/")[::2] == (404, b"")
    assert client.http("GET", "/v2/models")[::2] == (404, b"")


def test_preflight_and_cors(client: Client) -> None:
    status, headers, _ = client.http("OPTIONS", "/v1/models/x", headers={"Origin": "http://here"})
    assert (status, headers["access-control-allow-origin"]) == (200, "*")
    assert client.http("OPTIONS", "/v1/models/x")[0] == 400


def test_a_gzipped_body(client: Client) -> None:
    body, headers = gzip.compress(b'{"instances": [2]}'), {"Content-Encoding": "gzip"}
    status, _, reply = client.http("POST", f"/v1/models/{LINEAR}", body, headers)
    assert (status, json.loads(reply)) == (200, {"predictions": [3.0]})
    status, _, reply = client.http("POST", f"/v1/models/{LINEAR}", b"no gzip", headers)
    assert (status, json.loads(reply)["error"]) == (
        400,
        "JSON Parse error: the body is not gzip, as its Content-Encoding says",
    )


def test_what_follows_the_document_and_what_precedes_it_does_not_matter(client: Client) -> None:
    reply = client.http(
        "POST", f"/v1/models/{LINEAR}", b'\xef\xbb\xbf \n{"instances": [NaN, Infinity, -Infinity]} more'
    )
    assert reply[2].decode() == '{\n    "predictions": [NaN, Infinity, -Infinity\n    ]\n}'


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"POST /v1/models/linear:predict HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{",  # and gone
        b"POST /v1/models/linear:predict HTTP/1.1\r\nContent-Length: x\r\n\r\n{",
        b"GET /v1/models/" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /v1/models/linear:predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_bad_http_and_clients_that_leave(client: Client, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", client.flags.rest_api_port)) as connection:
        connection.sendall(sent)
    assert client.post(LINEAR, {"instances": [2]}) == (200, {"predictions": [3.0]})


def test_a_gzipped_body_that_is_cut_or_explodes(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    body, headers = gzip.compress(b'{"instances": [2]}'), {"Content-Encoding": "gzip"}
    assert client.http("POST", f"/v1/models/{LINEAR}", body[:-9], headers)[0] == 400
    monkeypatch.setattr(rest, "_MOST_UNZIPPED", 1000)
    status, _, reply = client.http("POST", f"/v1/models/{LINEAR}", gzip.compress(b" " * 2000), headers)
    assert (status, json.loads(reply)["error"]) == (
        400,
        "JSON Parse error: the gzip body is cut short, or holds more than 1000 bytes",
    )


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=3)
NAMES = st.sampled_from(["x", "text", "pair", "b64", "inputs", "\ud800", "signature_name"])
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
KEYS = st.sampled_from(["instances", "inputs", "examples", "context", "signature_name"])


@pytest.mark.parametrize("path", [LINEAR, KINDS, "linear:regress", "linear:classify"])
@given(st.dictionaries(KEYS, JSON) | st.fixed_dictionaries({"instances": st.lists(JSON, min_size=1, max_size=3)}))
@example({"examples": [{"\ud800": 1}]})
@example({"signature_name": "\udc80", "examples": [{}]})
@settings(max_examples=50)
def test_no_document_is_the_servers_fault(client: Client, path: str, document: Any) -> None:
    status, _, reply = client.http("POST", f"/v1/models/{path}", json.dumps(document))
    assert status in (200, 400, 501), reply
    json.loads(reply)


@pytest.mark.parametrize("depth", [64, 65, 200, 900, 930, 960, 990, 1100])
@pytest.mark.parametrize("path", [LINEAR, "linear:regress"])
def test_however_deep_a_document_is(client: Client, path: str, depth: int) -> None:
    nested = "[" * depth + "1" + "]" * depth
    for body in (
        f'{{"inputs": {nested}}}',
        f'{{"instances": {nested}}}',
        f'{{"examples": [{{"x": {nested}}}]}}',
        nested,
    ):
        status, _, reply = client.http("POST", f"/v1/models/{path}", body)
        assert status in (200, 400), reply


def test_one_connection_for_many_requests(client: Client) -> None:
    """Each answer is there at once: two small writes with Nagle's algorithm between them would take 40 ms."""
    connection = http.client.HTTPConnection("127.0.0.1", client.flags.rest_api_port, timeout=30)
    times = []
    for number in range(20):
        started = time.perf_counter()
        connection.request("POST", f"/v1/models/{LINEAR}", json.dumps({"instances": [number]}))
        assert json.loads(connection.getresponse().read()) == {"predictions": [number / 2 + 2]}
        times.append(time.perf_counter() - started)
    connection.close()
    assert min(times) < 0.03
