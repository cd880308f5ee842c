"""What the declaration says is to be done while the store is down, slow or behind."""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modules.spec import Declaration
from pipeline.gateway import times
from pipeline.live.place import Place
from pipeline.serving.signature import ScoringModel
from tests.pipeline.gateway import expected, shop
from tests.pipeline.gateway.serving import Client, gateway
from tests.pipeline.gateway.shop import END, row, without
from tests.pipeline.live.filled import fill
from tests.pipeline.live.rides import SECOND
from tests.pipeline.serving.model_server import serving as model_server
from tests.pipeline.stores.servers import Server, free_port

HOUR = 3600 * SECOND
DEFAULTS = dict.fromkeys(("rides_5m", "amount_1h", "last_1h", "own_sum", "rides_area", "riders", "pair", "tips"), 0)


@pytest.fixture
def opened(serving: model_server.Client, tmp_path: Path) -> Iterator[Any]:
    """Opens gateways whose declaration has a policy."""
    with contextlib.ExitStack() as stack:

        def open_one(store: str, *policy: str, **more: Any) -> Client:
            declared = shop.declare(tmp_path, *(f"serving.{each}" for each in policy))
            return stack.enter_context(gateway(declared, store, serving.flags.port, **more))

        yield open_one


def default_scores(declaration: Declaration, scoring: ScoringModel, *rows: dict[str, Any]) -> list[float]:
    kinds = {name: "int64" if each.dtype == "int" else "float64" for name, each in declaration.live_features.items()}
    zeros = {name: np.zeros(len(rows), kind) for name, kind in kinds.items()}
    return expected.scores(declaration, scoring, rows, zeros)


def is_default(found: dict[str, Any]) -> bool:
    every = [
        {"value": value, "status": "default", "complete": False} == found["live"][name]
        for name, value in DEFAULTS.items()
    ]
    return all(every) and found["defaults"] and not found["complete"] and len(found["live"]) == len(DEFAULTS)


@pytest.mark.parametrize(
    ("behind", "limit", "stale"),
    [(0, "1h", False), (HOUR, "1h", False), (HOUR + 1, "1h", True), (0, "0s", False), (1, "0s", True)],
)
def test_stale_is_more_behind_than_declared(opened: Any, store: str, behind: int, limit: str, stale: bool) -> None:
    client = opened(store, f"stale_after={limit}")
    last = shop.micros(client.get("/readyz")[1]["as_of"]["payments"])  # the source that is further behind
    status, reply = client.predict(row(at=last + behind))
    assert status == 200
    assert reply["predictions"][0]["stale"] == stale


def test_stale_rows_get_defaults(opened: Any, store: str, declaration: Declaration, scoring: ScoringModel) -> None:
    client = opened(store, "when_stale=defaults")
    fresh, old = row(), row(at=END + 2 * HOUR)
    status, reply = client.predict(fresh, old)
    assert status == 200
    first, second = reply["predictions"]
    assert (first["stale"], first["defaults"]) == (False, False)
    assert first["live"]["pair"]["status"] == "known"
    assert second["stale"]
    assert is_default(second)
    assert second["as_of"] == first["as_of"]
    values = expected.live(declaration, [fresh])
    assert [first["score"]] == expected.scores(declaration, scoring, [fresh], values)
    assert [second["score"]] == default_scores(declaration, scoring, old)
    assert client.metrics()['twinbeam_gateway_rows_marked_total{mark="defaults"}'] == 1
    looked, found = client.get(f"/v1/features/rides/rider/0?time={END + 2 * HOUR}")
    assert (looked, found["stale"], found["live"]["rides_5m"]["status"]) == (200, True, "empty")  # as it is


def test_stale_rows_are_refused(opened: Any, store: str) -> None:
    client = opened(store, "when_stale=refuse")
    assert client.predict(row())[0] == 200
    status, reply = client.predict(row(), row(at=END + 2 * HOUR))
    assert status == 503
    assert re.search(
        r"\.db: the store is more than 1h behind the request's time; it is at rides 2014\S+Z, payments 2014\S+Z\.",
        reply["error"]["message"],
    )
    assert [(each["row"], each["field"]) for each in reply["error"]["problems"]] == [(1, "at")]


def test_a_store_of_which_nothing_is_known_is_stale(opened: Any, tmp_path: Path) -> None:
    client = opened(f"sqlite://{tmp_path}/nothing.db")
    status, reply = client.predict(row())
    assert status == 200
    [found] = reply["predictions"]
    assert found["stale"]
    assert found["as_of"] == {"rides": None, "payments": None}
    assert {name for name, each in found["live"].items() if each["status"] != "unknown"} == {"own_sum"}


def test_the_clock_of_the_stream(opened: Any, store: str, tmp_path: Path) -> None:
    client = opened(store, clock="stream")
    status, reply = client.predict(without("at"), row(at=END))
    assert status == 200
    first, second = reply["predictions"]
    assert first["time"] == min(first["as_of"].values())
    assert second["time"] == times.text(END)
    assert not first["stale"]
    assert client.get("/v1/features/rides/rider/0")[1]["time"] == first["time"]
    empty = opened(f"sqlite://{tmp_path}/nothing.db", clock="stream")
    status, reply = empty.predict(without("at"))
    assert status == 503
    assert (
        "nothing is known of rides, payments yet, and --clock stream takes a request's time"
        in reply["error"]["message"]
    )
    assert empty.predict(row())[0] == 200


def test_a_store_that_is_down_is_refused(opened: Any) -> None:
    client = opened(f"redis://127.0.0.1:{free_port()}/0")
    assert client.predict(row(amount="x"))[0] == 422  # what is wrong with the request comes first
    status, reply = client.predict()
    assert status == 503
    assert "Look whether the server is up" in reply["error"]["message"]
    _, headers, _ = client.send("GET", "/readyz")
    assert headers["retry-after"] == "1"
    assert client.get("/readyz")[0] == 503
    assert client.get("/v1/features/rides/rider/0")[0] == 503
    assert client.get("/healthz") == (200, {"status": "ok"})


def test_a_store_that_is_no_store_is_down(opened: Any, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database" * 1000)
    client = opened(f"sqlite://{tmp_path}/text.db")
    status, reply = client.predict()
    assert status == 503
    assert "this file is not a SQLite database" in reply["error"]["message"]


def test_rows_that_cannot_be_read_are_no_answer(opened: Any, store: str) -> None:
    client = opened(store)
    with contextlib.closing(sqlite3.connect(store.removeprefix("sqlite://"))) as connection, connection:
        connection.execute("UPDATE row SET recent = x'01'")
    status, reply = client.predict()
    assert status == 503
    assert "the store gave what cannot be read" in reply["error"]["message"]


def test_defaults_while_the_store_is_down_and_its_rows_when_it_is_back(
    opened: Any, declaration: Declaration, scoring: ScoringModel, redis: Server
) -> None:
    url = f"redis://127.0.0.1:{redis.port}/0"
    place = Place(url, declaration.features_fingerprint)
    fill(declaration, place, shop.EVENTS)
    client = opened(url, "when_down=defaults", store_timeout_s=0.5)
    [before] = client.predict()[1]["predictions"]
    assert not before["defaults"]
    with redis.paused():  # it accepts connections, and says nothing
        status, reply = client.predict(row(), without("at"))
        assert status == 200
        for found in reply["predictions"]:
            assert is_default(found)
            assert found["stale"]
            assert found["as_of"] == {"rides": None, "payments": None}
        assert [reply["predictions"][0]["score"]] == default_scores(declaration, scoring, row())
        ready, told = client.get("/readyz")
        assert (ready, told["as_of"]) == (200, {"rides": None, "payments": None})
        assert client.get("/v1/features/rides/rider/0")[0] == 504  # a look-up has no defaults
        assert client.get("/healthz")[0] == 200
    redis.kill()
    status, reply = client.predict()
    assert status == 200
    assert is_default(reply["predictions"][0])
    assert client.get("/readyz") == (200, told)
    redis.start()
    fill(declaration, place, shop.EVENTS)
    assert client.predict()[1]["predictions"] == [before]


def test_a_store_that_hangs_holds_up_nobody_for_longer_than_declared(
    opened: Any, declaration: Declaration, redis: Server
) -> None:
    """More requests at once than there are threads: each has its answer, and none waits for the store's own limit."""
    client = opened(f"redis://127.0.0.1:{redis.port}/0", store_timeout_s=0.2)
    with redis.paused(), ThreadPoolExecutor(24) as pool:
        replies = list(pool.map(lambda _: client.predict(), range(24)))
    assert {status for status, _ in replies} == {504}
    assert "the store did not answer within 0.2 s." in replies[0][1]["error"]["message"]


def test_a_gateway_that_refuses_is_not_ready_while_the_store_hangs(opened: Any, redis: Server) -> None:
    client = opened(f"redis://127.0.0.1:{redis.port}/0", store_timeout_s=0.2)
    with redis.paused():
        assert client.get("/readyz")[0] == 504


def test_the_clock_of_a_stream_that_cannot_be_asked(opened: Any) -> None:
    client = opened(f"redis://127.0.0.1:{free_port()}/0", "when_down=defaults", clock="stream")
    assert client.predict(without("at"))[0] == 503
    assert client.predict(row())[0] == 200
