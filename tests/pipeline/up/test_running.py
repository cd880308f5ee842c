"""One `twinbeam up`, looked at from outside: what it says, its page in Chromium, and what stands behind that.

That SIGTERM ends it with 0 and leaves nobody is asserted where `running` is stopped.
"""

import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.up.replay import Replay
from tests.pipeline.cli.trips import finish
from tests.pipeline.up.city import City, area
from tests.pipeline.up.conftest import Running, wait_until

playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser (uv sync)")
pytestmark = pytest.mark.slow
_PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, running: Running) -> Iterator[Any]:
    """The page, opened; it must have no error, and ask nobody else."""
    context = browser.new_context(viewport={"width": 400, "height": 800})
    context.set_default_timeout(_PATIENCE_MS)
    playwright.expect.set_options(timeout=_PATIENCE_MS)
    opened, errors, asked = context.new_page(), list[str](), list[str]()
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(running.page)
    yield opened
    context.close()
    assert errors == []
    assert [url for url in asked if not url.startswith((running.page, "data:"))] == []


def test_the_replay_moves(page: Any) -> None:
    playwright.expect(page.locator("#state")).to_have_text("replaying")
    clock = page.locator("#clock")
    playwright.expect(clock).to_have_text(re.compile(r"^2014-05-13 \d\d:\d\d:\d\d UTC$"))
    before = clock.inner_text()
    playwright.expect(clock).not_to_have_text(before)
    assert clock.inner_text() > before
    merged = page.locator("[data-source=rides] [data-name=merged]")
    playwright.expect(merged).not_to_have_text("0")
    to_come = page.locator("[data-source=rides] [data-name='to come']")
    before = int(to_come.inner_text())
    playwright.expect(to_come).not_to_have_text(str(before))
    assert int(to_come.inner_text()) < before
    playwright.expect(page.get_by_role("progressbar")).not_to_have_attribute("aria-valuenow", "0")


def test_live_features_of_a_chosen_key(page: Any) -> None:
    features = page.get_by_role("table", name="Live features", exact=True)
    playwright.expect(features.get_by_role("rowheader")).to_have_text(["rides_5m", "amount_1h", "last_1h"])
    page.get_by_label("entity").select_option("rides/area")
    key = page.locator("#key-inputs").get_by_label("area")
    key.fill(area(0))  # with a comma, a slash and a tag
    playwright.expect(features.get_by_role("rowheader")).to_have_text(["rides_area", "riders"])
    playwright.expect(features.get_by_role("row").nth(1)).to_contain_text("known")
    key.fill("nowhere")
    playwright.expect(features.get_by_role("row").nth(1)).to_contain_text("unknown")
    page.get_by_label("entity").select_option("rides/rider")
    page.locator("#key-inputs").get_by_label("rider").fill("x")
    playwright.expect(page.locator("#key-wrong")).to_contain_text('rider: read "x"; accepted: a whole number')
    playwright.expect(features.get_by_role("rowheader")).to_have_count(0)


def test_the_form_gives_the_gateway_s_score(page: Any, running: Running, city: City) -> None:
    since = Replay.of(city.declaration, 5.0).since
    form = page.locator("#predict")
    texts = {field: form.get_by_label(field).input_value() for field in ("rider", "area", "amount", "seats")}
    assert re.fullmatch(r"a,\d/<i> & 100%", texts["area"])
    row = {"rider": int(texts["rider"]), "area": texts["area"], "amount": float(texts["amount"]), "at": since}
    row["seats"] = int(texts["seats"])
    prediction = _complete(running, row)
    form.get_by_label("at", exact=False).last.fill(since)
    form.get_by_role("button", name="Predict").click()
    shown = page.locator("#score")
    playwright.expect(shown).to_be_visible()
    assert float(shown.get_attribute("data-score")) == prediction["score"]
    assert shown.inner_text() == f"{prediction['score']:.4f}"
    playwright.expect(page.locator("#model")).to_have_text("of model rides, version 1")
    used = page.get_by_role("table", name="Live features that the model was given")
    playwright.expect(used.get_by_role("rowheader")).to_have_text(list(prediction["live"]))
    playwright.expect(used).to_contain_text("known")
    playwright.expect(page.locator("#badges")).to_have_text(re.compile("^complete"))


def _complete(running: Running, row: dict[str, Any]) -> Any:
    """The gateway's prediction for a row, once the stream has brought every event that it counts."""
    until = time.monotonic() + _PATIENCE_MS / 1000
    while time.monotonic() < until:
        said = httpx.post(f"{running.gateway}/v1/predict", json={"requests": [row]}, timeout=30).json()
        [prediction] = said["predictions"]
        if prediction["complete"]:
            return prediction
        time.sleep(0.2)
    raise AssertionError(f"never complete: {prediction}")


def test_another_example_is_another_row(page: Any) -> None:
    form = page.locator("#predict")
    amount, time = form.get_by_label("amount"), form.get_by_label("at", exact=False).last
    before = amount.input_value()
    time.fill("noon")
    time.press("Enter")
    playwright.expect(time).to_have_attribute("aria-invalid", "true")
    page.get_by_role("button", name="Another example").click()
    assert amount.input_value() != before
    playwright.expect(time).to_have_value("")
    form.get_by_role("button", name="Predict").click()
    playwright.expect(page.locator("#score")).to_be_visible()


def test_what_is_wrong_with_a_field_is_said_at_the_field(page: Any) -> None:
    form = page.locator("#predict")
    amount = form.get_by_label("amount")
    amount.fill("ten <b>")
    amount.press("Enter")
    playwright.expect(amount).to_have_attribute("aria-invalid", "true")
    wrong = page.locator(f"#{amount.get_attribute('aria-describedby')}")
    playwright.expect(wrong).to_have_text('read "ten <b>"; accepted: a finite number that float32 holds.')
    playwright.expect(amount).to_be_focused()
    playwright.expect(page.locator("#result")).to_be_hidden()
    playwright.expect(form.locator("[aria-invalid]")).to_have_count(1)
    amount.fill("")
    amount.press("Enter")
    playwright.expect(wrong).to_contain_text("read null; accepted: a finite number")
    amount.fill("12345678901234567890")  # goes as it is typed
    form.get_by_label("seats").fill("9007199254740993.5")
    amount.press("Enter")
    playwright.expect(page.locator("#predict .wrong", has_text="read 9007199254740")).to_be_visible()
    playwright.expect(wrong).to_have_text("")
    form.get_by_label("seats").fill("")
    amount.press("Enter")
    playwright.expect(page.locator("#score")).to_be_visible()
    playwright.expect(form.locator("[aria-invalid]")).to_have_count(0)


def test_it_fits_a_narrow_screen_and_every_field_has_a_name(page: Any) -> None:
    playwright.expect(page.locator("#features th").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert page.evaluate("[...document.querySelectorAll('input, select')].filter(i => !i.labels.length).length") == 0


def test_the_keyboard_reaches_everything(page: Any) -> None:
    """Each press of Tab goes on to another control; the last one before the end is the form's, or a link."""
    controls = page.evaluate("document.querySelectorAll('input, select, button, a[href]').length")
    reached = set()
    for _ in range(controls):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    assert len(reached) == controls


def test_each_step_is_told_in_a_line_with_where_it_is(running: Running, city: City) -> None:
    steps = [line.split()[1] for line in running.said.splitlines() if line.startswith("done")]
    assert steps == ["Replay", "Store", "Model", "Stream", "Gateway"]
    before = f"sqlite://{city.output}/up/online.db, "
    assert before in running.said
    assert f" events before {Replay.of(city.declaration, 5.0).since}\n" in running.said
    for name in ("model-server", "stream", "serve"):
        assert f"  {city.output}/logs/up/{name}.log\n" in running.said
    assert sorted(running.children.values()) == ["model-server", "serve", "stream"]


def test_everything_listens_on_loopback_alone(running: Running) -> None:
    listening = {pid: _listening(pid) for pid in (running.process.pid, *running.children)}
    assert {address for found in listening.values() for address, _ in found} == {"127.0.0.1"}
    told = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", running.said)]
    assert sorted(told) == sorted(port for found in listening.values() for _, port in found)


def _listening(pid: int) -> list[tuple[str, int]]:
    """The addresses and ports on which a process takes TCP connections."""
    sockets = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    found = []
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                host, _, port = fields[1].partition(":")
                host = host.removeprefix("0000000000000000FFFF0000")  # of an IPv4 address in a socket of IPv6
                address = host if len(host) > 8 else socket.inet_ntoa(bytes.fromhex(host)[::-1])
                found.append((address, int(port, 16)))
    return found


def test_the_replay_goes_on(running: Running) -> None:
    def given() -> list[int]:
        status = running.status()
        return [each["given"] for each in status["sources"]]

    first = running.status()
    assert not first["ended"]
    wait_until(lambda: min(given()) > 0)
    assert running.status()["clock"] > first["clock"]


def test_the_replay_s_clock_is_the_time_of_a_request_that_has_none(running: Running) -> None:
    row = {"rider": 0, "area": area(0), "amount": 12.5}
    before = running.status()["clock"]
    [prediction] = httpx.post(f"{running.page}/v1/predict", json={"requests": [row]}, timeout=30).json()["predictions"]
    assert before <= prediction["time"] <= running.status()["clock"]
    assert prediction["live"]["rides_5m"]["status"] == "known"
    assert not prediction["stale"]


def _without_as_of(document: dict[str, Any]) -> dict[str, Any]:
    """A reply without how far the stream is, which changes all the time."""
    for each in (document, *document.get("predictions", [])):
        each.pop("as_of", None)
    return document


def test_what_the_page_s_server_answers_is_what_the_gateway_answers(running: Running, city: City) -> None:
    time = Replay.of(city.declaration, 5.0).since
    body = {"requests": [{"rider": 0, "area": area(0), "amount": 12.5, "at": time}]}
    key = "a%2C0%2F%3Ci%3E%20%26%20100%25"
    for path, sent in [(f"/v1/features/rides/area/{key}?time={time}", None), ("/v1/predict", body)]:
        answers = [
            httpx.request("POST" if sent else "GET", f"{where}{path}", json=sent, timeout=30)
            for where in (running.page, running.gateway)
        ]
        assert answers[0].status_code == 200, answers[0].text
        through, there = (_without_as_of(answer.json()) for answer in answers)
        assert through == there
        assert through["live" if sent is None else "predictions"]
    refused = httpx.post(f"{running.page}/v1/predict", content=b"{", timeout=30)
    assert refused.status_code == 415


def test_two_at_once_are_one_too_many(running: Running, city: City) -> None:
    second = finish(city.up())
    assert second.exit_code == 8
    assert f"error: {city.output}: another `twinbeam up` is running here. Stop it, or name another" in second.out
    taken = finish(city.up("--port", running.page.rpartition(":")[2]))
    assert taken.exit_code == 4
    assert "Address already in use. Name another port, or 0 for a free one." in taken.out
    assert not running.status()["problem"]
