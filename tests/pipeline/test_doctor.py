"""The doctor says what is there, and how to mend what is not."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.doctor import Finding, examine
from tests.pipeline.cli.in_process import call
from tests.pipeline.stores.servers import free_port


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who has set up nothing."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in (
        "CLOUDSDK_CONFIG", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "KUBECONFIG",
        "BIGTABLE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def listening() -> Iterator[int]:
    """The port of a server that answers as a job manager does."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/overview" else 404)
            self.end_headers()
            self.wfile.write(json.dumps({"flink-version": "1.19.0", "slots-total": 2, "slots-available": 1}).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def found(part: tuple[str, str], store: str = "sqlite://none.db", flink_master: str = "") -> Finding:
    (finding,) = [each for each in examine(store, flink_master) if (each.engine, each.part) == part]
    return finding


@pytest.mark.parametrize(
    ("part", "mend"),
    [
        (("local", "browser"), "apt-get install chromium"),
        (("dataflow", "credentials"), "gcloud auth application-default login"),
        (("dataflow", "project"), "gcloud config set project PROJECT"),
        (("flink", "Java"), "install a runtime of version 17"),
        (("kubernetes", "kubectl"), "install it"),
        (("kubernetes", "cluster"), "name it with KUBECONFIG"),
        (("stores", "Redis"), "apt-get install redis-server"),
        (("stores", "Bigtable emulator"), "gcloud beta emulators bigtable start"),
        (("stores", "Pub/Sub emulator"), "gcloud beta emulators pubsub start"),
    ],
)
def test_what_is_missing_is_said_with_its_mend(part: tuple[str, str], mend: str) -> None:
    finding = found(part)
    assert not finding.there
    assert mend in finding.says


def test_what_was_set_up_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gcloud = tmp_path / ".config" / "gcloud"
    (gcloud / "configurations").mkdir(parents=True)
    (gcloud / "application_default_credentials.json").write_text("not read")
    (gcloud / "active_config").write_text("work\n")
    (gcloud / "configurations" / "config_work").write_text("[core]\nproject = trips\n")
    assert found(("dataflow", "credentials")).there
    assert found(("dataflow", "project")) == Finding("dataflow", "project", True, "trips")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "others")
    assert found(("dataflow", "project")).says == "others"
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\" 2021-10-19' >&2\n")
    java.chmod(0o755)
    assert found(("flink", "Java")) == Finding("flink", "Java", True, "17.0.1")


def test_servers_are_reached_or_not(listening: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(("flink", "job manager"), flink_master=f"127.0.0.1:{listening}").says == (
        "Flink 1.19.0, 1 of 2 slots free"
    )
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", f"127.0.0.1:{listening}")
    assert found(("stores", "Bigtable emulator")).there
    nobody = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", nobody)
    assert f"BIGTABLE_EMULATOR_HOST={nobody}: nobody answers" in found(("stores", "Bigtable emulator")).says
    assert "does not answer as a job manager" in found(("flink", "job manager"), flink_master=nobody).says
    assert not found(("stores", "online store"), store=f"redis://:secret@{nobody}/0").there
    assert "secret" not in found(("stores", "online store"), store=f"redis://:secret@{nobody}/0").says
    assert "accepted: HOST:PORT" in found(("flink", "job manager"), flink_master="nonsense").says


def test_a_store_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    assert found(("stores", "online store"), store=f"sqlite://{tmp_path}/none.db").says.endswith(
        "none.db: 0 namespaces"
    )
    assert not (tmp_path / "none.db").exists()


def test_the_command_ends_well_whatever_is_missing(tmp_path: Path) -> None:
    said = call("doctor", f"--store=sqlite://{tmp_path}/none.db", "--json")
    assert said.exit_code == 0
    assert {finding["engine"] for finding in said.result["findings"]} == {
        "local", "dataflow", "flink", "airflow", "kubernetes", "stores",
    }  # fmt: skip
    shown = call("doctor", f"--store=sqlite://{tmp_path}/none.db").out.splitlines()
    assert len(shown) == len(said.result["findings"])
    assert shown[0].startswith("local       Python             ok  3.11")
