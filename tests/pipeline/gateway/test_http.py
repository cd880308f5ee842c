"""The HTTP around a prediction: bodies of every shape, headers, ids, limits, keys and logs."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from modules.spec import Declaration, InputError
from pipeline.gateway import app, outside
from pipeline.gateway.call import Call
from pipeline.gateway.security import ApiKeys, is_loopback
from pipeline.gateway.server import listen
from tests.pipeline.gateway.serving import Client, gateway
from tests.pipeline.gateway.shop import row
from tests.pipeline.serving.model_server import serving as model_server

JSON = {"Content-Type": "application/json"}
BODY = json.dumps({"requests": [row()]}).encode()
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
    BODY
)
KEY = "0123456789abcdefghij"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=UTF-8", 200),
        ('application/json;charset="utf-8"', 200),
        ("application/json; charset=latin-1", 415),
        ("text/plain", 415),
        ("application/json-patch+json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
def test_only_json_is_taken(client: Client, content_type: str, status: int) -> None:
    found, _, reply = client.send("POST", "/v1/predict", BODY, {"Content-Type": content_type})
    assert found == status
    if status == 415:
        assert "Content-Type: application/json" in json.loads(reply)["error"]["message"]


def test_a_body_must_not_be_compressed(client: Client) -> None:
    status, _, _ = client.send("POST", "/v1/predict", BODY, JSON | {"Content-Encoding": "gzip"})
    assert status == 415


def test_a_body_may_come_in_chunks(client: Client) -> None:
    pieces = (BODY[at : at + 7] for at in range(0, len(BODY), 7))
    status, _, reply = client.send("POST", "/v1/predict", pieces, JSON)
    assert status == 200
    assert json.loads(reply)["predictions"] == client.predict()[1]["predictions"]


def padded(size: int) -> bytes:
    return BODY[:-1] + b" " * (size - len(BODY)) + b"}"


def test_a_body_is_bounded(client: Client) -> None:
    assert client.post(padded(app.MOST_BYTES))[0] == 200
    # It is refused before it comes: who sends it all the same may find the connection closed.
    head = "POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", client.port)) as connection, connection.makefile("rb") as reply:
        connection.sendall(f"{head}Content-Length: {app.MOST_BYTES + 1}\r\n\r\n".encode())
        said = reply.read()  # to its end, for it is closed
    assert said.startswith(b"HTTP/1.1 413 ")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["message"] == (
        "The body is larger than 1,048,576 bytes. Send several."
    )


def test_so_is_one_without_a_length(client: Client) -> None:
    """The gateway reads no more than it must: the body never ends, and is one byte too long so far."""
    head = (
        b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = BODY[:-1].ljust(app.MOST_BYTES + 1)
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(head + b"%x\r\n" % len(chunk) + chunk)
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_come(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "BODY_TIMEOUT_S", 0.2)
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(HEAD + BODY[:-1])
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
    assert client.predict()[0] == 200


@pytest.mark.parametrize("sent", [b"", BODY[:20]])
def test_a_caller_that_goes_away_leaves_nothing_behind(client: Client, sent: bytes) -> None:
    for _ in range(outside.MOST_AT_ONCE + 1):
        with socket.create_connection(("127.0.0.1", client.port)) as connection:
            connection.sendall(HEAD + sent)
    model_server.eventually(lambda: client.predict()[0] == 200)


def test_so_many_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "MOST_AT_ONCE", 0)
    status, headers, reply = client.send("POST", "/v1/predict", BODY, JSON)
    assert (status, headers["retry-after"]) == (503, "1")
    assert "requests are being answered" in json.loads(reply)["error"]["message"]
    assert client.get("/healthz")[0] == 200


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc-123_X.y", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("a b", False),
        ('"', False),
        ("é", False),
    ],
)
def test_a_request_has_an_id(client: Client, given: str, kept: bool) -> None:
    for path in ("/healthz", "/nothing"):
        status, headers, reply = client.send("GET", path, headers={"X-Request-ID": given})
        assert (headers["x-request-id"] == given) == kept
        assert kept or re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])
        if status == 404:
            assert json.loads(reply)["request_id"] == headers["x-request-id"]


def test_two_ids_are_none() -> None:
    assert Call.of([(b"x-request-id", b"a"), (b"x-request-id", b"b")]).request_id not in ("a", "b")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/predict", 405), ("POST", "/healthz", 405), ("GET", "/", 404), ("GET", "/healthz/", 404)],
)
def test_other_paths_and_methods(client: Client, method: str, path: str, status: int) -> None:
    found, headers, reply = client.send(method, path)
    assert found == status
    assert headers["content-type"] == "application/json"
    assert json.loads(reply)["error"]["message"]
    assert ("allow" in headers) == (status == 405)


def test_the_pages_for_people_and_programs(client: Client) -> None:
    status, _, page = client.send("GET", "/docs")
    assert (status, b"swagger" in page) == (200, True)
    status, document = client.get("/openapi.json")
    assert status == 200
    row_schema = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    fields = row_schema["properties"]["requests"]["items"]
    assert list(fields["properties"]) == ["rider", "area", "amount", "seconds", "company", "shared", "at"]
    assert fields["required"] == ["rider", "area", "amount", "shared"]
    assert list(document["components"]["schemas"]["Live"]["properties"]) == [
        *("rides_5m", "amount_1h", "last_1h", "rides_area", "riders", "tips", "pair", "own_sum")
    ]


@pytest.fixture
def locked(declaration: Declaration, store: str, serving: model_server.Client, tmp_path: Path) -> Iterator[Client]:
    """A gateway with two API keys."""
    (tmp_path / "keys").write_text(f"{KEY}\n{KEY[::-1]}\n")
    with gateway(declaration, store, serving.flags.port, ApiKeys(tmp_path / "keys")) as opened:
        yield opened


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {KEY}", 200),
        (f"bearer {KEY[::-1]}", 200),
        (None, 401),
        (KEY, 401),
        (f"Basic {KEY}", 401),
        (f"Bearer {KEY[:-1]}", 401),
        (f"Bearer  {KEY}", 401),
        ("Bearer é", 401),
    ],
)
def test_a_key_is_asked_for(locked: Client, authorization: str | None, status: int) -> None:
    headers = JSON | ({"Authorization": authorization} if authorization else {})
    found, answered, _ = locked.send("POST", "/v1/predict", BODY, headers)
    assert found == status
    assert (answered.get("www-authenticate") == "Bearer") == (status == 401)
    for path in ("/metrics", "/docs", "/openapi.json", "/v1/features/rides/rider/0", "/nothing"):
        assert (locked.send("GET", path, headers=headers)[0] == 401) == (status == 401)


def test_probes_need_no_key(locked: Client) -> None:
    assert locked.get("/healthz")[0] == 200
    assert locked.get("/readyz")[0] == 200


@pytest.mark.parametrize(
    "content", ["", "\n\n", "short", "with blanks in between it", "0123456789abcdef\ttab", "\x00" * 20]
)
def test_a_file_of_no_keys(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys").write_text(content)
    with pytest.raises(InputError, match="keys: accepted: one key a line, at least 16 visible ASCII characters"):
        ApiKeys(tmp_path / "keys")


def test_a_file_of_keys_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--api-key-file .*nothing: cannot be read"):
        ApiKeys(tmp_path / "nothing")
    (tmp_path / "keys").write_bytes(b"\xff" * 20)
    with pytest.raises(InputError, match="cannot be read as ASCII text"):
        ApiKeys(tmp_path / "keys")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
    ],
)
def test_where_others_can_reach_it(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_a_host_that_is_none() -> None:
    with pytest.raises(InputError, match=r"--host no\.such\.invalid: .*Name an address of this machine"):
        is_loopback("no.such.invalid")


def test_a_fault_of_the_gateway_is_told_without_its_traceback(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("pipeline.gateway.gateway.serialized_examples", broken)
    with structlog.testing.capture_logs() as logs:
        status, reply = client.predict()
    assert status == 500
    assert reply["error"]["message"] == "An unexpected error, which is a fault of the gateway. Its log has more."
    assert [each["request_id"] for each in logs if each["event"] == "unexpected"] == [reply["request_id"]]


def test_a_line_is_logged_for_each_request(client: Client, declaration: Declaration) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with structlog.testing.capture_logs() as logs:
        client.post({"requests": [row(), row()]}, {"X-Request-ID": "mine", "traceparent": parent})
        client.send("GET", "/v1/features/rides/area/secret", headers={"X-Request-ID": "too"})
        model_server.eventually(lambda: any(each["request_id"] == "too" for each in logs))
    first, second = (each for each in logs if each["request_id"] in ("mine", "too"))
    assert first.pop("ms") > 0
    assert first == {
        "event": "request",
        "log_level": "info",
        "request_id": "mine",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "method": "POST",
        "route": "/v1/predict",
        "status": 200,
        "rows": 2,
        "features": declaration.features_fingerprint,
        "version": 1,
        "stale": False,
        "defaults": False,
        "joined": 1,
    }
    assert second["route"] == "/v1/features/{source}/{columns}/{key:path}"
    assert "secret" not in json.dumps(second)


def test_a_reply_does_not_wait_for_the_callers_acknowledgement() -> None:
    """Its head and its body are two writes, of which the second would wait for 40 ms."""
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()) as _:
        accepted, _address = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
