"""Which versions may score: those of the declaration, one by one, through roll-overs and restarts."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent import futures
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from modules.spec import Declaration
from pipeline.serving.signature import ScoringModel
from tests.pipeline.gateway import expected, models, shop
from tests.pipeline.gateway.relay import Relay, listening
from tests.pipeline.gateway.serving import Client, gateway
from tests.pipeline.gateway.shop import row
from tests.pipeline.serving.model_server import serving as model_server
from tests.pipeline.stores.servers import free_port


@contextlib.contextmanager
def served(base: Path, **flags: Any) -> Iterator[model_server.Client]:
    """A server of a base path's versions, which looks for new ones 10 times a second."""
    chosen = {"model_name": "shop", "model_base_path": str(base), "rest_api_port": 0} | flags
    with model_server.running(file_system_poll_wait_seconds=1, **chosen) as client:
        yield client


def scored(client: Client, declaration: Declaration, base: Path) -> int:
    """The version that answered, whose score in this process it is."""
    status, reply = client.predict()
    assert status == 200, reply
    version = reply["model"]["version"]
    values = expected.live(declaration, [row()])
    wanted = expected.scores(declaration, ScoringModel(str(base / str(version))), [row()], values)
    assert [each["score"] for each in reply["predictions"]] == wanted
    return int(version)


def answers(replies: list[tuple[int, Any]], version: int) -> bool:
    """Whether the last reply is a version's."""
    return bool(replies[-1][1].get("model", {}).get("version") == version)


def test_each_score_is_that_of_the_version_that_it_names(declaration: Declaration, store: str, tmp_path: Path) -> None:
    """While versions come and go, no request fails, and none has a score of another version."""
    base = models.export(declaration, tmp_path / "models", 1)
    values = expected.live(declaration, [row()])
    replies: list[tuple[int, Any]] = []
    with served(base) as server, gateway(declaration, store, server.flags.port) as client:
        assert scored(client, declaration, base) == 1
        over = threading.Event()

        def ask() -> None:
            while not over.is_set():
                replies.append(client.predict())

        with futures.ThreadPoolExecutor(2) as pool:
            asking = [pool.submit(ask) for _ in range(2)]
            for version in (2, 3):
                models.export(declaration, tmp_path / "made", version)
                (tmp_path / "made" / str(version)).rename(base / str(version))
                model_server.eventually(partial(answers, replies, version))
            over.set()
            for each in asking:
                each.result()
    assert {status for status, _ in replies} == {200}, [reply for status, reply in replies if status != 200][:1]
    seen = {reply["model"]["version"] for _, reply in replies}
    assert seen == {1, 2, 3}
    for version in seen:
        model = ScoringModel(str(base / str(version)))
        [wanted] = expected.scores(declaration, model, [row()], values)
        assert {r["predictions"][0]["score"] for _, r in replies if r["model"]["version"] == version} == {wanted}


def test_a_version_with_other_live_features_gives_no_score(
    declaration: Declaration, store: str, tmp_path: Path
) -> None:
    """Also where a server with such a model takes the place of another, under the same version."""
    other = shop.declare(tmp_path, "live.features.rides_5m.window=6m")
    mine = models.export(declaration, tmp_path / "mine", 1)
    theirs = models.export(other, tmp_path / "theirs", 1)
    port = free_port()
    with gateway(declaration, store, port) as client:
        with served(mine, port=port):
            model_server.eventually(lambda: client.get("/readyz")[0] == 200)
            assert scored(client, declaration, mine) == 1
        assert client.predict()[0] == 503  # nobody there
        with served(theirs, port=port):
            model_server.eventually(lambda: "was trained on" in client.get("/readyz")[1]["error"]["message"])
            for _ in range(3):
                status, reply = client.predict()
                assert status == 503
                assert reply["error"]["message"].startswith(
                    f"127.0.0.1:{port}: version 1 of shop was trained on live features of the fingerprint "
                    f"{other.features_fingerprint[:12]}, and those declared have "
                    f"{declaration.features_fingerprint[:12]}."
                )
            models.export(declaration, tmp_path / "made", 2)
            (tmp_path / "made" / "2").rename(theirs / "2")
            model_server.eventually(lambda: client.predict()[0] == 200)
            assert scored(client, declaration, theirs) == 2
            assert client.get("/readyz")[1]["model"] == {"name": "shop", "version": 2}


def test_a_server_that_is_replaced_unseen_is_asked_again(declaration: Declaration, store: str, tmp_path: Path) -> None:
    """No request, and so no error, falls between the two servers."""
    other = shop.declare(tmp_path, "live.features.rides_5m.window=6m")
    mine = models.export(declaration, tmp_path / "mine", 1)
    theirs = models.export(other, tmp_path / "theirs", 1)
    port = free_port()
    with gateway(declaration, store, port) as client:
        with served(mine, port=port):
            model_server.eventually(lambda: client.predict()[0] == 200)
        with served(theirs, port=port):
            statuses = [client.predict()[0] for _ in range(5)]
            assert set(statuses) == {503}


class Other(tf.Module):
    """Not as Twinbeam exports a model."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "amount")])
    def small(self, amount: tf.Tensor) -> dict[str, tf.Tensor]:
        """A signature of one input."""
        return {"score": amount}


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("serving_default", "takes other features than are declared: amount_1h, company, "),
        ("another", "has no signature serving_default. Serve a model that Twinbeam has pushed."),
    ],
)
def test_a_model_that_takes_something_else(
    declaration: Declaration, store: str, tmp_path: Path, signature: str, message: str
) -> None:
    other = Other()
    tf.saved_model.save(other, str(tmp_path / "models" / "1"), signatures={signature: other.small})
    with served(tmp_path / "models") as server, gateway(declaration, store, server.flags.port) as client:
        status, reply = client.get("/readyz")
        assert status == 503
        assert message in reply["error"]["message"]
        assert client.predict()[0] == 503


def test_a_model_without_a_fingerprint(declaration: Declaration, store: str, exported: Path, tmp_path: Path) -> None:
    loaded = tf.saved_model.load(str(exported / "1"))
    only = {name: loaded.signatures[name] for name in ("serving_default", "serving_examples")}
    tf.saved_model.save(loaded, str(tmp_path / "models" / "1"), signatures=only)
    with served(tmp_path / "models") as server, gateway(declaration, store, server.flags.port) as client:
        status, reply = client.predict()
        assert status == 503
        assert "was trained on live features of the fingerprint (none), and those" in reply["error"]["message"]


def test_a_model_of_other_defaults(declaration: Declaration, store: str, tmp_path: Path) -> None:
    """The store's rows are the same, and what a new rider gets is not."""
    other = shop.declare(tmp_path, "live.features.amount_1h.default=3")
    assert other.features_fingerprint == declaration.features_fingerprint
    theirs = models.export(other, tmp_path / "theirs", 1)
    with served(theirs) as server, gateway(declaration, store, server.flags.port) as client:
        status, reply = client.predict()
        assert status == 503
        assert "was trained on defaults of live features of the fingerprint " in reply["error"]["message"]


def test_a_model_server_that_is_away_or_has_no_such_model(
    declaration: Declaration, store: str, serving: model_server.Client
) -> None:
    port = free_port()
    with gateway(declaration, store, port) as client:
        assert client.predict(row(amount="x"))[0] == 422  # what is wrong with the request comes first
        status, answer = client.predict()
        assert (status, answer["error"]["message"]) == (
            503,
            f"127.0.0.1:{port}: the model server is away. Start it, or repeat later.",
        )
        status, headers, _ = client.send("GET", "/readyz")
        assert (status, headers["retry-after"]) == (503, "1")
    with gateway(declaration, store, serving.flags.port, model="shoe") as client:
        status, answer = client.predict()
        assert status == 503
        assert "it serves no model shoe. Name its model with --model." in answer["error"]["message"]
        assert client.get("/readyz")[0] == 503


@pytest.fixture
def relay(serving: model_server.Client) -> Iterator[tuple[int, Relay]]:
    """A port, and what comes in there."""
    passing = Relay(serving)
    with listening(passing) as port:
        yield port, passing


PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("headers", "passed"),
    [
        ({}, {}),
        ({"traceparent": PARENT}, {"traceparent": PARENT}),
        (
            {"traceparent": PARENT, "tracestate": "rojo=1,congo=2"},
            {"traceparent": PARENT, "tracestate": "rojo=1,congo=2"},
        ),
        ({"traceparent": PARENT, "tracestate": "\xff"}, {"traceparent": PARENT}),
        ({"tracestate": "rojo=1"}, {}),  # which means nothing alone
        ({"traceparent": "00-" + "0" * 32 + "-b7ad6b7169203331-01"}, {}),
        ({"traceparent": "ff" + PARENT[2:]}, {}),
        ({"traceparent": PARENT.upper()}, {}),
        ({"traceparent": "\xff"}, {}),
    ],
)
def test_the_trace_goes_on(
    declaration: Declaration,
    store: str,
    relay: tuple[int, Relay],
    headers: dict[str, str],
    passed: dict[str, str],
) -> None:
    port, passing = relay
    with gateway(declaration, store, port) as client:
        status, reply = client.post({"requests": [row()]}, headers)
        assert status == 200, reply
    [first, *_] = passing.seen
    assert {name: value for name, value in first.items() if name.startswith("trace")} == passed


def test_a_model_server_that_is_too_slow(declaration: Declaration, store: str, relay: tuple[int, Relay]) -> None:
    port, passing = relay
    with gateway(declaration, store, port, model_timeout_s=0.3) as client:
        model_server.eventually(lambda: client.predict()[0] == 200)
        passing.open.clear()
        status, reply = client.predict()
        assert status == 504
        assert "the model server did not answer within 0.3 s." in reply["error"]["message"]
        assert client.get("/readyz")[0] == 504
        passing.open.set()
        model_server.eventually(lambda: client.predict()[0] == 200)
