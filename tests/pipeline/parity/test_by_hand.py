"""The gate by hand: on the taxi run's pushed model, alone and beside a model server that is a process of its own."""

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

import pipeline.parity.live as live_check
from modules.spec import NotFoundError
from pipeline.ingest.files import find_files
from pipeline.parity.by_hand import judge_by_hand
from pipeline.parity.remote import Remote
from tests.artifacts import taxi
from tests.pipeline.cli.in_process import call
from tests.pipeline.serving.model_server.test_command import COMMAND, ENV
from tests.pipeline.stores.servers import free_port

ROWS = 50


@pytest.fixture(autouse=True)
def few_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_check, "_MOST_PAUSES", 12)


@pytest.fixture(scope="module")
def model(taxi_run: Path) -> Path:
    return taxi_run / "serving_model" / "taxi" / "1"


@pytest.fixture(scope="module")
def trips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 trips of the data."""
    path = tmp_path_factory.mktemp("rows") / "trips.csv"
    with open(find_files(taxi().data)[0].path, newline="") as lines, path.open("w", newline="") as file:
        reader = csv.reader(lines)
        writer = csv.writer(file)
        writer.writerows(row for row, _ in zip(reader, range(301), strict=False))
    return path


@contextmanager
def model_server(model: Path, directory: Path) -> Iterator[str]:
    """`twinbeam model-server` of a model called other, as a process; its host:port."""
    (directory / "other").mkdir()
    (directory / "other" / "1").symlink_to(model)
    target = f"127.0.0.1:{free_port()}"
    command = [*COMMAND, f"--port={target.split(':')[1]}", "--rest_api_port=0", "--model_name=other",
               f"--model_base_path={directory}/other"]  # fmt: skip
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(command, env=ENV, stderr=log, stdout=log)
        try:
            with grpc.insecure_channel(target, [("grpc.enable_http_proxy", 0)]) as channel:
                grpc.channel_ready_future(channel).result(timeout=300)
            yield target
        finally:
            process.terminate()
            process.wait(60)


def _altered(model: Path, directory: Path) -> Path:
    """The model with two words of its company vocabulary exchanged."""
    copy = Path(shutil.copytree(model, directory / "altered"))
    [vocabulary] = [path for path in (copy / "assets").iterdir() if "company" in path.name]
    first, second, *rest = vocabulary.read_bytes().splitlines(keepends=True)
    vocabulary.write_bytes(b"".join([second, first, *rest]))
    return copy


def test_it_passes_and_a_server_with_another_vocabulary_does_not(
    model: Path, trips: Path, tmp_path: Path, quick_disk: None
) -> None:
    with model_server(_altered(model, tmp_path), tmp_path) as target:
        run = call("gate", "--model", model, "--data", trips, "--rows", str(ROWS),
                   "--model-server", target, "--model-name", "other", "--json")  # fmt: skip
    assert run.exit_code == 12, run.err
    checks = {each["name"]: each for each in run.result["checks"]}
    over = {f"transformed features of {target}", f"scores of {target}"}
    assert {name for name, each in checks.items() if not each["passed"]} == over
    assert checks.keys() - over == {
        "live features", "freshness", "transformed features", "scores", "latency and size", "contract",
    }  # fmt: skip
    assert checks["transformed features"]["compared"] == 3 * 22 * ROWS
    assert checks["scores"]["compared"] == 4 * 2 * ROWS
    assert checks[f"scores of {target}"]["compared"] == 2 * 2 * ROWS
    [feature] = re.findall(r"differ: (\w+) \(", checks[f"transformed features of {target}"]["sentence"])
    assert feature == "company"


def test_one_line_a_check(model: Path, trips: Path, tmp_path: Path, quick_disk: None) -> None:
    """And a right server agrees, on other events than the declared ones."""
    events = [f"--events={source}={trips}" for source in ("trips", "payments")]
    with model_server(model, tmp_path) as target:
        run = call("gate", "--model", model, "--data", trips, "--rows", "20", *events,
                   "--model-server", target, "--model-name", "other")  # fmt: skip
        with pytest.raises(NotFoundError, match=r"of the model nobody cannot be asked: .*--model-name"):
            Remote(target, "nobody").call("serving_default", {})
    assert run.exit_code == 0, run.out + run.err
    assert [line.split(":")[0] for line in run.out.splitlines()] == [
        "passed  live features", "passed  freshness", "passed  transformed features", "passed  scores",
        f"passed  transformed features of {target.split(':')[0]}", f"passed  scores of {target.split(':')[0]}",
        "passed  latency and size", "passed  contract",
    ]  # fmt: skip


def test_a_model_of_another_declaration_fails_the_contract(model: Path, trips: Path) -> None:
    [check] = judge_by_hand(taxi("live.features.area_trips_6h.window=5h", "gate.rows=20"), model, str(trips), {})
    assert (check.name, check.passed) == ("contract", False)
    assert "fingerprint" in check.sentence


def test_what_is_not_there_or_does_not_fit(model: Path, trips: Path, tmp_path: Path) -> None:
    run = call("gate", "--model", tmp_path, "--data", trips)
    assert (run.exit_code, "there is no saved_model.pb" in run.err) == (9, True)
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    run = call("gate", "--model", model, "--data", other, "--json")
    assert run.exit_code == 4
    assert "other.csv" in json.loads(run.out)["error"]
