"""The commands around the online store, as a user calls them."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from modules.spec import Declaration
from modules.spec.errors import StoreUnavailable
from pipeline.live.place import Place
from tests.conftest import ROOT
from tests.pipeline.cli.in_process import call
from tests.pipeline.live.conftest import declaration, here, wanted
from tests.pipeline.live.rides import BROKEN, Rows, declare, merged, payments, rides, spoilt, write
from tests.pipeline.stores.servers import free_port, redis_server

__all__ = ["declaration", "here", "wanted"]
_LONG_S = 60.0


class Command:
    """`twinbeam stream` in a process of its own."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        command = [sys.executable, "-c", _MAIN, "stream", f"--features={directory}/features.yaml"]
        self.process = subprocess.Popen(
            [*command, f"--dead-letters={directory}/dead", *arguments], cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def drain(self) -> tuple[int, str, str]:
        """Sends SIGTERM; the exit code and what it printed."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=_LONG_S)
        return self.process.returncode, out, err


_MAIN = """
import sys
from pipeline.cli.main import app
try:
    app(prog_name="twinbeam")
finally:
    print("imported:", *(name for name in ("tensorflow", "tfx", "keras", "ml_metadata") if name in sys.modules))
"""


def ask(port: int, path: str) -> tuple[int, str]:
    """The answer of the metrics server; 0 while there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def metric(text: str, name: str) -> dict[str, float]:
    """A metric's values by what stands in its braces."""
    return {labels: float(value) for labels, value in re.findall(rf"^{name}(\S*) (\S+)$", text, re.MULTILINE)}


@pytest.mark.slow
def test_it_streams_tells_how_it_is_doing_and_drains(
    tmp_path: Path, declaration: Declaration, here: Place, wanted: Place
) -> None:
    events = {"rides": rides(500), "payments": payments(rides(500))}
    port = free_port()
    urls = []
    for name, some in events.items():
        (tmp_path / name).mkdir()
        bad = [*spoilt().values()] if name == "rides" else []
        write(tmp_path / name / "1.jsonl", [*some[:250], *bad], [BROKEN] if name == "rides" else [])
        urls.append(f"--source={name}=file://{tmp_path}/{name}?follow=true")
    command = Command(tmp_path, f"--store={here.url}", f"--metrics-port={port}", *urls)
    until = time.monotonic() + _LONG_S
    seen = set()
    while (ready := ask(port, "/ready"))[0] != 200:
        seen.add(ready[0])
        assert command.process.poll() is None, command.process.communicate()
        assert time.monotonic() < until
    for name, some in events.items():
        (tmp_path / name / "2.jsonl.part").write_text("")
        write(tmp_path / name / "2.part", some[250:])
        (tmp_path / name / "2.part").rename(tmp_path / name / "2.jsonl")
    last = {name: max(event["taken_in"] for event in some) / 1e6 for name, some in events.items()}
    while True:
        text = ask(port, "/metrics")[1]
        watermarks = metric(text, "twinbeam_watermark_seconds")
        if watermarks == {f'{{source="{name}"}}': pytest.approx(at, abs=1e-3) for name, at in last.items()}:
            break
        assert time.monotonic() < until, text
    code, out, err = command.drain()
    assert code == 0, err
    assert seen >= {503}
    assert metric(text, "twinbeam_events_total") == {'{source="rides"}': 505, '{source="payments"}': 500}
    assert metric(text, "twinbeam_events_merged_total") == {'{source="rides"}': 500, '{source="payments"}': 500}
    assert metric(text, "twinbeam_dead_letters_total") == {
        f'{{reason="{reason}",source="rides"}}': 1 for reason in [*spoilt(), "unparsable"]
    }
    assert all(lag > 1e8 for lag in metric(text, "twinbeam_lag_seconds").values())
    assert metric(text, "twinbeam_row_bytes_count")['{source="rides"}'] > 0
    counts, imported = out.splitlines()
    assert json.loads(counts)["events"] == 1_005
    assert imported == "imported:"  # neither TFX nor TensorFlow
    merged(declaration, events, wanted)
    assert Rows.of(declaration, here, events) == Rows.of(declaration, wanted, events)


@pytest.mark.slow
def test_drained_while_the_store_is_away_it_fails_and_the_next_one_goes_on(
    tmp_path: Path, declaration: Declaration, wanted: Place
) -> None:
    events = {"rides": rides(1_000), "payments": payments(rides(1_000))}
    urls = [f"--source={name}={write(tmp_path / f'{name}.jsonl', some)}" for name, some in events.items()]
    with redis_server("--appendonly", "yes") as server:
        place = Place(f"redis://127.0.0.1:{server.port}/0", declaration.features_fingerprint)
        command = Command(tmp_path, f"--store={place.url}", "--batch-events=5", *urls)
        until = time.monotonic() + _LONG_S
        while not _rows(place):
            assert time.monotonic() < until
            assert command.process.poll() is None
        server.kill()
        code, _, err = command.drain()
        assert code == 10, err
        assert "error: redis://127.0.0.1" in err
        assert "Traceback" not in err
        server.start()
        loaded = Retrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_fixed(0.1),
            stop=stop_after_delay(_LONG_S),
            reraise=True,
        )
        assert loaded(_rows, place) > 0
        done = call("stream", f"--features={tmp_path}/features.yaml", f"--store={place.url}",
                    f"--dead-letters={tmp_path}/dead", *urls)  # fmt: skip
        assert done.exit_code == 0, done.err
        merged(declaration, events, wanted)
        assert Rows.of(declaration, place, events) == Rows.of(declaration, wanted, events)


def _rows(place: Place) -> int:
    with place.open() as store:
        return store.size()[0]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    declare(tmp_path)
    events = {"rides": rides(20), "payments": payments(rides(20))}
    return [
        f"--features={tmp_path}/features.yaml", f"--store=sqlite://{tmp_path}/new/live.db",
        f"--dead-letters={tmp_path}/dead",
        *(f"--source={name}={write(tmp_path / f'{name}.jsonl', some)}" for name, some in events.items()),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--store=mysql://host/table"], 4, "names no online store"),
        (["--source=rides=ftp://host/x"], 4, "--source: rides is there 2 times"),
        (["--source=trips=kafka://me:secret@host/x"], 4, "--source trips=kafka://***@host/x: accepted: SOURCE=PLACE"),
        (["--set=live.lookback=soon"], 3, "lookback"),
        (["--dead-letters=pubsub://nowhere"], 4, "no topic"),
        (["--set=live=null"], 3, "no live features"),
        (["--batch-events=0"], 2, "batch-events"),
    ],
)
def test_what_is_wrong_is_said(files: list[str], more: list[str], code: int, words: str) -> None:
    run = call("stream", *files, *more)
    assert (run.exit_code, run.out) == (code, "")
    assert words in re.sub(r"\s+", " ", run.err)
    assert "Traceback" not in run.err


def test_a_source_that_cannot_be_read_ends_the_job_with_its_message(tmp_path: Path, files: list[str]) -> None:
    (tmp_path / "rides.jsonl").unlink()
    run = call("stream", *files)
    assert run.exit_code == 4
    assert f"{tmp_path}/rides.jsonl" in run.err
    assert "Traceback" not in run.err


def test_a_port_in_use_is_said(files: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = call("stream", *files, f"--metrics-port={taken.getsockname()[1]}")
    assert run.exit_code == 4
    assert "--metrics-host 127.0.0.1 --metrics-port" in run.err
    assert "in use" in run.err
    assert "--metrics-host 192.0.2.1" in call("stream", *files, "--metrics-port=1", "--metrics-host=192.0.2.1").err


def test_namespaces_are_listed_and_dropped(tmp_path: Path, files: list[str]) -> None:
    store = f"--store=sqlite://{tmp_path}/new/live.db"
    for override in ("live.features.rides_5m.window=5m", "live.features.rides_5m.window=7m"):
        assert call("stream", *files, f"--set={override}").exit_code == 0
    listed = call("store", "list", store).out.splitlines()
    assert len(listed) == 2
    name = listed[0].split()[0]
    assert call("store", "drop", name[:8], store).out == f"dropped {name}\n"
    assert call("store", "list", store).out.splitlines() == listed[1:]
    for nothing in ("nothing", ""):  # the second of a variable that is not set
        assert "0 namespaces start so" in call("store", "drop", nothing, store).err


def test_dead_letters_are_listed_and_replayed(tmp_path: Path, files: list[str]) -> None:
    write(tmp_path / "rides.jsonl", [*rides(20), *spoilt().values()], [BROKEN])
    assert call("stream", *files).exit_code == 0
    listed = call("deadletters", "list", f"{tmp_path}/dead").out.splitlines()
    assert sorted(listed) == sorted(f"rides  {reason}  1" for reason in [*spoilt(), "unparsable"])
    shown = call("deadletters", "list", f"{tmp_path}/dead", "--show=9").out.splitlines()[len(listed) :]
    assert {json.loads(line)["reason"] for line in shown} == {*spoilt(), "unparsable"}
    some = [option for option in files if not option.startswith(("--source", "--dead"))]
    replayed = call("deadletters", "replay", f"{tmp_path}/dead", *some, "--set=live.sources.rides.lateness=20m")
    assert json.loads(replayed.out)["merged"] == 1  # what was late
    assert "no directory of dead letters" in call("deadletters", "list", f"{tmp_path}/none").err


def test_a_bootstrap_wants_a_time_with_an_offset(tmp_path: Path, files: list[str]) -> None:
    history = [option.replace("--source", "--events").replace("file://", "") for option in files]
    run = call("bootstrap", *history, "--until=2014-05-13")
    assert run.exit_code == 4
    assert "--until 2014-05-13: accepted: a date and time with an offset" in run.err
    done = call("bootstrap", *history, "--until=2014-05-13T16:53:40Z")
    assert json.loads(done.out)["merged"] > 0
