"""The page's server without a gateway behind it, and in front of one that lets nothing else in."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from modules.spec import InputError
from pipeline.live.place import Place
from pipeline.sources.source import EARLIEST
from pipeline.stores.store import OnlineStore, Register
from pipeline.up.children import Child, free_ports
from pipeline.up.form import Field, Form
from pipeline.up.page import listening, page
from pipeline.up.replay import Replay
from pipeline.up.services import Service
from pipeline.up.status import Status, status
from tests.pipeline.up.city import City

HOSTILE = '</script><b id="hostile">"&\''


@pytest.fixture
def client(city: City) -> Iterator[TestClient]:
    """Of a page whose gateway is away, and whose texts are hostile."""
    replay = Replay.of(city.declaration, 5.0)
    form = Form.of(city.declaration, replay.start)
    fields = (Field(HOSTILE, "string", True, (HOSTILE,)), *form.fields)
    form = dataclasses.replace(form, fields=fields, time=HOSTILE)
    logs = {Service(HOSTILE, HOSTILE, ("serve",), "http://127.0.0.1:1/docs", "", HOSTILE): HOSTILE}
    now = Status(None, replay.since, replay.until, 0.0, False, HOSTILE, ())
    app = page(city.declaration, form, replay, logs, f"http://127.0.0.1:{free_ports(1)[0]}", lambda: now)
    with TestClient(app, base_url="http://127.0.0.1") as opened:
        yield opened


def test_texts_are_escaped(client: TestClient) -> None:
    text = client.get("/").text
    assert HOSTILE not in text
    assert 'id="hostile"' not in text
    assert "&lt;/script&gt;&lt;b id=&#34;hostile&#34;&gt;" in text
    assert "\\u003c/script\\u003e\\u003cb id=" in text


def test_the_page_needs_nothing_from_elsewhere(client: TestClient) -> None:
    text = client.get("/").text
    policy = text.partition('Content-Security-Policy" content="')[2].partition('"')[0]
    assert policy.startswith("default-src 'none';")
    assert "connect-src 'self'" in policy
    nonces = {client.get("/").text.partition("'nonce-")[2].partition("'")[0] for _ in range(2)}
    assert len(nonces) == 2


def test_a_gateway_that_is_away_is_told_as_it_would_tell_itself(client: TestClient) -> None:
    for answer in (client.post("/v1/predict", json={"requests": [{}]}), client.get("/v1/features/rides/rider/1")):
        assert answer.status_code == 503
        error = answer.json()["error"]
        assert error["message"].startswith("The gateway does not answer: ")
        assert error["problems"] == []


def test_a_page_elsewhere_whose_name_leads_here_is_not_answered(client: TestClient) -> None:
    assert client.get("/status", headers={"host": "evil.example"}).status_code == 400
    assert client.get("/status", headers={"host": "localhost:8600"}).json()["problem"] == HOSTILE


def test_a_port_that_is_taken() -> None:
    with listening(0) as first:
        port = first.getsockname()[1]
        with (
            pytest.raises(InputError, match=rf"--port {port}: Address already in use\. Name another port, or 0 for a"),
            listening(port),
        ):
            pass


# What it says of the stream.


@pytest.fixture
def store(city: City, tmp_path: Path) -> Iterator[OnlineStore]:
    with Place(f"sqlite://{tmp_path}/rows.db", city.declaration.features_fingerprint).open() as opened:
        yield opened


class Live:
    """A process that has not ended."""

    def poll(self) -> None:
        """It never does."""


STREAM = Child("stream", Live(), Path(), True)  # type: ignore[arg-type]


def test_the_clock_is_the_least_watermark_and_the_history_is_not_replayed(
    city: City, store: OnlineStore, tmp_path: Path
) -> None:
    replay, letters = Replay.of(city.declaration, 5.0), tmp_path / "letters"
    letters.mkdir()
    nothing = status(replay, store, letters, STREAM)
    assert (nothing.clock, nothing.share, [each.watermark for each in nothing.sources]) == (None, 0.0, [None, None])
    store.advance([Register(name, "history", replay.start, 1_000) for name in replay.events])
    begun = status(replay, store, letters, STREAM)
    assert (begun.clock, begun.share) == (replay.since, 0.0)
    assert [each.given for each in begun.sources] == [0, 0]
    half = (replay.start + replay.end) // 2
    store.advance([Register("rides", "files", replay.end + 1, 50), Register("payments", "files", half, 7)])
    later = status(replay, store, letters, STREAM)
    assert later.share == pytest.approx(0.5, abs=1e-6)
    assert [(each.name, each.given, each.to_come) for each in later.sources] == [
        ("rides", 50, replay.events["rides"] - 50),
        ("payments", 7, replay.events["payments"] - 7),
    ]
    assert not later.ended
    store.advance([Register("payments", "files", replay.end + 1, 8)])
    assert status(replay, store, letters, STREAM).share == 1.0


def test_a_partition_of_which_nothing_is_known_holds_the_clock(city: City, store: OnlineStore, tmp_path: Path) -> None:
    store.advance([Register("rides", "files", EARLIEST, 0)])
    assert status(Replay.of(city.declaration, 5.0), store, tmp_path, STREAM).clock is None


def test_what_is_wrong_is_said(city: City, tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("this is no database, as anybody can see; it is a text, and long enough at that")
    replay = Replay.of(city.declaration, 5.0)
    with Place(f"sqlite://{tmp_path}/no.db", "x").open() as broken:
        found = status(replay, broken, tmp_path, STREAM)
    assert found.problem.endswith("no.db: this file is not a SQLite database. Name another one.")
    assert found.clock is None
