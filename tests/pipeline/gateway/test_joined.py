"""Requests that are answered together: each has the reply that it has alone, and its errors are its own."""

import asyncio
import contextlib
import json
import socket
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import hypothesis
import pytest
import structlog
import tensorflow as tf
from hypothesis import strategies as st

from modules.spec import Declaration
from pipeline.gateway import joined
from pipeline.gateway.call import Call
from pipeline.gateway.joined import Asked, Joined
from pipeline.gateway.rows import Rows
from tests.pipeline.gateway import shop
from tests.pipeline.gateway.relay import Relay, listening
from tests.pipeline.gateway.serving import Client, gateway
from tests.pipeline.gateway.shop import END, row
from tests.pipeline.live.rides import SECOND
from tests.pipeline.serving.model_server import serving as model_server

HELD, REFUSED = 1.5, 2.5
"""Amounts for which the model server waits, and which it refuses."""
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Body = list[dict[str, Any]]
GOOD: list[Body] = [
    [row()],
    [row(rider=10**6), row(company="Flash Cab", seconds=60)],
    [row(rider=None, at=END - 59 * SECOND)],
    [row(area=None, shared=False), row(at=END + 7200 * SECOND), row(amount=0.1, rider=7)],
    [row(company="\u00e9\U0001f600", amount=1e-45, seconds=-(2**63), at=END - 5 * SECOND)],
]
BAD: list[Body] = [
    [row(), row(at=END - 3600 * SECOND)],  # too old
    [row(amount=1e15)],  # too much to be added
    [row(rider=3), row(amount=REFUSED), row()],  # by the model server
]


class Choosy(Relay):
    """Refuses some amounts, and keeps others waiting while `open` is cleared."""

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        given = request.inputs["examples"].string_val if "examples" in request.inputs else []
        examples = map(tf.train.Example.FromString, given)
        amounts = [example.features.feature["amount"].float_list.value[0] for example in examples]
        if REFUSED in amounts:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such amount")
        if HELD in amounts:
            self.open.wait()
        self.seen.append(dict(context.invocation_metadata()))
        return self._target.prediction.Predict(request)


@pytest.fixture
def choosy(serving: model_server.Client) -> Iterator[tuple[int, Choosy]]:
    """A port, and what is there."""
    passing = Choosy(serving)
    with listening(passing) as port:
        yield port, passing


@pytest.fixture
def one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one request is held, all others wait."""
    monkeypatch.setattr(joined, "TURNS", 1)
    monkeypatch.setattr(joined, "TURN_S", 60)


def alone(client: Client, body: Body) -> tuple[int, Any]:
    """The reply, without what is of the one request."""
    status, reply = client.post({"requests": body})
    reply.pop("request_id", None)
    return status, reply


def asked(client: Client) -> float:
    """How many requests have been read so far."""
    return client.metrics().get('twinbeam_gateway_stage_seconds_count{stage="parse"}', 0)


def await_asked(client: Client, count: float) -> None:
    """Waits until so many requests have been read."""
    model_server.eventually(lambda: asked(client) == count)


@contextlib.contextmanager
def waiting(client: Client, model: Choosy, pool: ThreadPoolExecutor, count: int) -> Iterator[None]:
    """In it, requests are sent; after it, they have waited for one that was held, and for each other."""
    before = asked(client)
    model.open.clear()
    held = pool.submit(client.predict, row(amount=HELD))
    try:
        await_asked(client, before + 1)
        yield
        await_asked(client, before + 1 + count)
    finally:
        model.open.set()
    assert held.result()[0] == 200


def together(client: Client, model: Choosy, bodies: Sequence[Body]) -> list[tuple[int, Any]]:
    """The replies of requests that have waited for each other."""
    with ThreadPoolExecutor(len(bodies) + 1) as pool:
        with waiting(client, model, pool, len(bodies)):
            replies: list[Future[tuple[int, Any]]] = [pool.submit(alone, client, body) for body in bodies]
        return [reply.result() for reply in replies]


@pytest.mark.usefixtures("one_turn")
def test_each_has_the_reply_that_it_has_alone(
    declaration: Declaration, original: Any, choosy: tuple[int, Choosy]
) -> None:
    port, model = choosy
    with gateway(declaration, f"sqlite://{original}", port) as client:
        wanted = {json.dumps(body): alone(client, body) for body in GOOD + BAD}
        assert [wanted[json.dumps(body)][0] for body in BAD] == [422, 422, 503]
        assert {wanted[json.dumps(body)][0] for body in GOOD} == {200}

        @hypothesis.settings(max_examples=15)
        @hypothesis.given(
            st.lists(st.sampled_from(GOOD), min_size=2, max_size=6), st.lists(st.sampled_from(BAD), max_size=1)
        )
        def holds(good: list[Body], bad: list[Body]) -> None:
            bodies = good + bad
            calls = len(model.seen)
            assert together(client, model, bodies) == [wanted[json.dumps(body)] for body in bodies]
            assert len(model.seen) - calls == (1 + len(good) if bad else 2)  # with the one that was held

        holds()


@pytest.mark.usefixtures("one_turn")
def test_what_is_logged_counted_and_passed_on(
    declaration: Declaration, original: Any, choosy: tuple[int, Choosy]
) -> None:
    port, model = choosy
    url = f"sqlite://{original}"
    with gateway(declaration, url, port) as client, structlog.testing.capture_logs() as logs:
        assert client.predict()[0] == 200  # the version has been checked
        before, calls = client.metrics(), len(model.seen)
        with ThreadPoolExecutor(4) as pool, waiting(client, model, pool, 3):
            for name, body in {"a": GOOD[0], "b": GOOD[1], "c": GOOD[3]}.items():
                more = {"X-Request-ID": name} | ({"traceparent": PARENT} if name == "b" else {})
                pool.submit(client.post, {"requests": body}, more)
        after = client.metrics()
    assert [each.get("traceparent") for each in model.seen[calls:]] == [None, PARENT]
    lines = {each["request_id"]: each for each in logs}
    wanted = {"a": (1, False), "b": (2, False), "c": (3, True)}
    assert {name: (lines[name]["rows"], lines[name]["stale"]) for name in wanted} == wanted
    assert {lines[name]["joined"] for name in wanted} == {3}
    assert "trace_id" not in lines["a"]
    for stage in ("parse", "wait", "store", "model"):
        name = f'twinbeam_gateway_stage_seconds_count{{stage="{stage}"}}'
        assert after[name] - before[name] == 4
    rows = 'twinbeam_gateway_rows_total{version="1"}'
    assert after[rows] - before[rows] == 7


@pytest.mark.usefixtures("one_turn")
def test_a_row_that_cannot_be_read_gives_nobody_else_defaults(
    tmp_path: Any, store: str, choosy: tuple[int, Choosy]
) -> None:
    port, model = choosy
    rider = GOOD[0][0] | {"area": None}
    with contextlib.closing(sqlite3.connect(store.removeprefix("sqlite://"))) as connection, connection:
        connection.execute("UPDATE row SET recent = x'01'")
    with gateway(shop.declare(tmp_path, "serving.when_down=defaults"), store, port) as client:
        nobody = row(rider=10**6, area="nowhere")
        (first, broken), (second, unknown) = together(client, model, [[rider], [nobody]])
    assert (first, broken["predictions"][0]["defaults"]) == (200, True)
    assert (second, unknown["predictions"][0]["defaults"]) == (200, False)


@pytest.mark.usefixtures("one_turn")
def test_who_goes_away_takes_nobody_along(declaration: Declaration, original: Any, choosy: tuple[int, Choosy]) -> None:
    port, model = choosy
    body = json.dumps({"requests": GOOD[1]}).encode()
    head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with gateway(declaration, f"sqlite://{original}", port) as client, ThreadPoolExecutor(3) as pool:
        wanted = [alone(client, each) for each in (GOOD[0], GOOD[3])]
        with waiting(client, model, pool, 3):
            with socket.create_connection(("127.0.0.1", client.port)) as gone:
                gone.sendall(head.encode() + b"\r\n\r\n" + body)
            replies = [pool.submit(alone, client, each) for each in (GOOD[0], GOOD[3])]
        assert [reply.result() for reply in replies] == wanted


def test_those_that_hang_hold_up_nobody(declaration: Declaration, original: Any, choosy: tuple[int, Choosy]) -> None:
    port, model = choosy
    with gateway(declaration, f"sqlite://{original}", port) as client, ThreadPoolExecutor(4) as pool:
        assert client.predict()[0] == 200  # the version has been checked
        before = asked(client)
        model.open.clear()
        for held in range(joined.TURNS):
            pool.submit(client.predict, row(amount=HELD))
            await_asked(client, before + held + 1)
        assert client.predict()[0] == 200
        model.open.set()


def waits(times: list[int | None]) -> Asked:
    return Asked(Rows({}, {}, times), Call("id", (), None))


@pytest.mark.parametrize(
    ("rows", "groups"),
    [
        ([[0], [0], [0]], [1, 2]),  # the first finds a turn free
        ([[0], [0], [None], [0]], [1, 2, 1]),  # without a time, not with those that have one
        ([[0], [0], [0] * joined.MOST_ROWS, [0]], [1, 2, 1]),  # as many rows as go together
        ([[0], [0] * (joined.MOST_ROWS - 1), [0]], [1, 2]),
        ([[0], [0] * 1000, [0]], [1, 1, 1]),
    ],
)
def test_who_goes_with_whom(monkeypatch: pytest.MonkeyPatch, rows: list[list[int | None]], groups: list[int]) -> None:
    monkeypatch.setattr(joined, "TURNS", 1)
    found = []

    async def answer(group: Sequence[Asked]) -> list[dict[str, Any]]:
        found.append(len(group))
        await asyncio.sleep(0)
        return [{"rows": len(each.rows)} for each in group]

    async def run() -> list[dict[str, Any]]:
        join = Joined(answer)
        return await asyncio.gather(*(join.reply(waits(times)) for times in rows))

    assert asyncio.run(run()) == [{"rows": len(times)} for times in rows]
    assert found == groups


def test_one_that_is_cancelled_leaves_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joined, "TURNS", 1)
    go = threading.Event()

    async def answer(group: Sequence[Asked]) -> list[dict[str, Any]]:
        await asyncio.to_thread(go.wait)
        return [{} for _ in group]

    async def run() -> list[Any]:
        join = Joined(answer)
        asking = [asyncio.create_task(join.reply(waits([0]))) for _ in range(4)]
        await asyncio.sleep(0)
        asking[0].cancel()
        asking[2].cancel()
        await asyncio.sleep(0)
        go.set()
        return await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 30)

    found = asyncio.run(run())
    assert [isinstance(each, asyncio.CancelledError) for each in found] == [True, False, True, False]
