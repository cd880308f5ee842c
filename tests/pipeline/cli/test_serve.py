"""`twinbeam serve` as a process: where it listens, what it refuses, and how it ends."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modules.spec import Declaration
from tests.conftest import ROOT
from tests.pipeline.cli.in_process import call
from tests.pipeline.gateway import shop
from tests.pipeline.gateway.conftest import declaration, exported, original, serving
from tests.pipeline.serving.model_server import serving as model_server

__all__ = ["declaration", "exported", "original", "serving"]

BODY = json.dumps({"requests": [shop.row()]}).encode()
KEY = "0123456789abcdefghij"


class Process:
    """The command, once it listens."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        env = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
        self.log = log
        with log.open("w") as file:
            command = [sys.executable, "-m", "pipeline.cli.main", "serve", *arguments]
            self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=file, text=True)
        model_server.eventually(lambda: self._listens() or self.process.poll() is not None, within_s=100)
        assert self.process.poll() is None, log.read_text()

    def _listens(self) -> bool:
        return any(each.get("event") == "listening" for each in self.lines())

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    @property
    def url(self) -> str:
        """What it says that it listens on."""
        return next(str(each["url"]) for each in self.lines() if each["event"] == "listening")

    def connect(self) -> http.client.HTTPConnection:
        """A connection to it."""
        scheme, host, port = re.fullmatch(r"(https?)://([\d.]+):(\d+)", self.url).groups()  # type: ignore[union-attr]
        if scheme == "http":
            return http.client.HTTPConnection(host, int(port), timeout=30)
        return http.client.HTTPSConnection(host, int(port), timeout=30, context=ssl._create_unverified_context())

    def predict(self, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and document of the prediction of a row."""
        with contextlib.closing(self.connect()) as connection:
            connection.request("POST", "/v1/predict", BODY, {"Content-Type": "application/json"} | (headers or {}))
            reply = connection.getresponse()
            return reply.status, json.load(reply)


@contextlib.contextmanager
def running(log: Path, *arguments: str | Path) -> Iterator[Process]:
    """The command, killed at the end if it runs still."""
    process = Process([*map(str, arguments)], log)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait()


@pytest.fixture
def arguments(declaration: Declaration, serving: model_server.Client, original: Path, tmp_path: Path) -> list[str]:
    """For a gateway on a free port, with everything up."""
    shop.declare(tmp_path)
    model = ["--model-server", f"127.0.0.1:{serving.flags.port}", "--model", "shop", "--model-timeout-s", "30"]
    return ["--features", f"{tmp_path}/shop.yaml", "--store", f"sqlite://{original}", *model, "--port", "0"]


def test_from_start_to_sigterm(arguments: list[str], tmp_path: Path) -> None:
    """A request whose body is still coming when the signal does is answered."""
    with running(tmp_path / "log", *arguments) as gateway:
        status, reply = gateway.predict({"X-Request-ID": "first"})
        assert (status, reply["model"]) == (200, {"name": "shop", "version": 1})
        with contextlib.closing(gateway.connect()) as connection:
            connection.putrequest("POST", "/v1/predict")
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(BODY)))
            connection.endheaders(BODY[:5])
            with contextlib.closing(gateway.connect()) as another:  # answered after the head of the first was read
                another.request("GET", "/healthz")
                assert another.getresponse().status == 200
            gateway.process.send_signal(signal.SIGTERM)
            model_server.eventually(lambda: not accepts(gateway))
            connection.send(BODY[5:])
            answer = connection.getresponse()
            assert (answer.status, json.load(answer)["predictions"]) == (200, reply["predictions"])
        assert gateway.process.wait(timeout=30) == 0
        assert gateway.process.stdout is not None
        assert gateway.process.stdout.read() == ""
        [line] = [each for each in gateway.lines() if each.get("request_id") == "first"]
        assert (line["event"], line["status"], line["level"]) == ("request", 200, "info")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["timestamp"])
        assert gateway.lines()[-1]["event"] == "ended"


def accepts(gateway: Process) -> bool:
    """Whether it takes new connections."""
    try:
        with contextlib.closing(gateway.connect()) as connection:
            connection.connect()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key, of nobody."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("openssl is not installed (Debian: apt-get install openssl)")
    directory = tmp_path_factory.mktemp("certificate")
    files = directory / "certificate.pem", directory / "key.pem"
    made = ["-newkey", "rsa:2048", "-nodes", "-subj", "/CN=gateway", "-days", "2"]
    subprocess.run(
        [openssl, "req", "-x509", *made, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True
    )
    return files


def test_a_key_and_tls(arguments: list[str], tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    (tmp_path / "keys").write_text(KEY + "\n")
    tls = ["--tls-certificate", str(certificate[0]), "--tls-key", str(certificate[1])]
    secured = ["--api-key-file", f"{tmp_path}/keys", *tls]
    with running(tmp_path / "log", *arguments, *secured) as gateway:
        assert gateway.url.startswith("https://127.0.0.1:")
        assert gateway.predict()[0] == 401
        assert gateway.predict({"Authorization": f"Bearer {KEY}"})[0] == 200
        gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.wait(timeout=30) == 0
        assert KEY not in gateway.log.read_text()


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        (["--host", "0.0.0.0"], 2, "--host 0.0.0.0 can be reached from other machines: give --api-key-file,"),
        (["--host", "::"], 2, "can be reached from other machines"),
        (["--host", "0.0.0.0", "--api-key-file", "KEYS"], 2, "can be reached from other machines"),
        (["--tls-key", "KEYS"], 2, "give both --tls-certificate and --tls-key, or neither."),
        (["--api-key-file", "nothing"], 4, "--api-key-file nothing: cannot be read"),
        (["--tls-certificate", "KEYS", "--tls-key", "KEYS"], 4, "cannot be used with --tls-key"),
        (["--store", "mysql://x"], 4, "names no online store"),
        (["--features", "nothing.yaml"], 3, "nothing.yaml: no such file"),
        (["--set", "serving.when_down=serve"], 3, "serving.when_down: read "),
        (["--set", "serving.stale_after=1"], 3, "serving.stale_after: read 1; accepted: a duration such as"),
        (["--set", "live=null", "--clock", "stream"], 2, "there are no live features, and so no stream"),
        (["--model-timeout-s", "0"], 2, "greater than or equal to 0.001"),
        (["--host", "no.such.invalid"], 4, "Name an address of this machine"),
    ],
)
def test_what_it_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shop.declare(tmp_path)
    (tmp_path / "KEYS").write_text(KEY)
    found = call("serve", "--features", "shop.yaml", "--store", f"sqlite://{tmp_path}/live.db", *given)
    assert found.exit_code == code, found.err
    assert message in re.sub(r"[\s│]+", " ", found.err)
    assert "Traceback" not in found.err


@pytest.mark.parametrize(
    "given",
    [
        ["--host", "127.0.0.1"],
        ["--host", "0.0.0.0", "--insecure"],
        ["--host", "0.0.0.0", "--api-key-file", "KEYS", "--tls-certificate", "KEYS", "--tls-key", "KEYS"],
    ],
)
def test_what_it_tries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str]) -> None:
    """These it would listen with, if the port were free."""
    monkeypatch.chdir(tmp_path)
    shop.declare(tmp_path)
    (tmp_path / "KEYS").write_text(KEY)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = call("serve", "--features", "shop.yaml", "--port", str(port), *given)
    assert found.exit_code == 4
    assert f"{given[1]} --port {port}: Address already in use. Name another port or address." in found.err
