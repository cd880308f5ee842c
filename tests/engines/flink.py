"""The jobs on a real Flink, and what happens when it is killed: `make flink-test`, after `make flink`.

Not among the tests of `make test`: it takes minutes, and 500 MB of jars and packages.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.spec import Declaration
from pipeline.dead_letters import LetterDirectory
from pipeline.engines.flink import HOME
from pipeline.ingest.files import find_files
from pipeline.live.place import Place
from tests.conftest import ROOT, twinbeam
from tests.engines.flink_cluster import PATIENCE_S, Cluster, cluster, wait_until
from tests.pipeline.live.rides import BROKEN, Event, Rows, declare, merged, payments, rides, spoilt, write
from tests.pipeline.stores.servers import redis_server

COMMAND = HOME / ".venv" / "bin" / "twinbeam"
TRIPS = "package:tfx/examples/chicago_taxi_pipeline/data/simple/data.csv"
_DISORDER = "?shuffle=40s&duplicates=0.1&seed=5"
_RIDES = 3_000


class Job:
    """A stream of rides and payments, some of them spoilt, and the rows in which it must end."""

    def __init__(self, directory: Path, store: str, speed: int | None = None) -> None:
        self._directory = directory
        self._declaration: Declaration = declare(directory)
        self._place = Place(store, self._declaration.features_fingerprint)
        trips = rides(_RIDES)
        self._events: dict[str, list[Event]] = {"rides": trips, "payments": payments(trips)}
        bad = [*spoilt().values(), *spoilt(trips[-1]["at"]).values()]
        urls = {
            "rides": write(directory / "rides.jsonl", [*trips, *bad], [BROKEN]),
            "payments": write(directory / "payments.jsonl", self._events["payments"]),
        }
        pace = f"{_DISORDER}&speed={speed}" if speed else _DISORDER
        self.command: list[str | Path] = [
            COMMAND, "stream", "--runner=flink", f"--features={directory}/features.yaml", f"--store={store}",
            f"--dead-letters={directory}/dead", *(f"--source={name}={url}{pace}" for name, url in urls.items()),
        ]  # fmt: skip

    def merged(self) -> int:
        """How many events the registers say are merged."""
        with self._place.open() as store:
            return sum(register.position for register in store.registers())

    def check(self) -> None:
        """Compares rows, bit by bit, and dead letters with what they must be."""
        wanted = Place(f"sqlite://{self._directory}/wanted.db", self._declaration.features_fingerprint)
        merged(self._declaration, self._events, wanted)
        assert Rows.of(self._declaration, self._place, self._events) == Rows.of(self._declaration, wanted, self._events)
        letters = LetterDirectory(f"{self._directory}/dead").read()
        reasons = [letter.reason for letter in letters if letter.reason != "closed"]  # which came again after a kill
        assert sorted(reasons) == sorted([*2 * list(spoilt()), "unparsable"])


def run(*command: str | Path) -> str:
    """Runs a command to its end; what it prints."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def short_lived(monkeypatch: pytest.MonkeyPatch) -> None:
    """JVMs that live a minute do not compile twice; and on a busy machine they take longer than 10 s to start."""
    options = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dpekko.remote.classic.startup-timeout=300s"
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", options)


@pytest.fixture(scope="module")
def trips() -> Path:
    """The taxi trips: a file of this environment, for Flink's has no TFX."""
    (file,) = find_files(TRIPS)
    return Path(file.path)


@pytest.fixture
def running(tmp_path: Path, short_lived: None) -> Iterator[Cluster]:
    """A job manager."""
    with cluster(tmp_path) as made:
        yield made


@pytest.mark.parametrize("parallelism", [1, 2])
def test_a_stream_ends_in_the_same_rows(tmp_path: Path, parallelism: int) -> None:
    job = Job(tmp_path, f"sqlite://{tmp_path}/rows.db")
    said = json.loads(run(*job.command, f"--parallelism={parallelism}"))
    assert said["events"] == job.merged()
    job.check()


def test_two_workers_write_into_redis(tmp_path: Path) -> None:
    with redis_server() as redis:
        job = Job(tmp_path, f"redis://127.0.0.1:{redis.port}/0")
        run(*job.command, "--parallelism=2")
        job.check()


@pytest.mark.parametrize("parallelism", [1, 2])
def test_a_task_manager_is_killed_and_the_job_restored(tmp_path: Path, running: Cluster, parallelism: int) -> None:
    """SIGKILL in the middle of the job: a second task manager goes on from the last checkpoint."""
    job = Job(tmp_path, f"sqlite://{tmp_path}/rows.db", speed=300)
    command = [*job.command, f"--flink-master={running.master}", f"--parallelism={parallelism}"]
    with open(tmp_path / "log", "ab") as log, running.task_manager() as first:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        wait_until(lambda: job.merged() > 0, process)
        before = running.checkpoints()["completed"]
        wait_until(lambda: running.checkpoints()["completed"] >= before + 2, process)
        first.kill()
        first.wait()
        at_the_kill = job.merged()
        assert 0 < at_the_kill < 2 * _RIDES
        with running.task_manager():
            assert process.wait(PATIENCE_S) == 0, (tmp_path / "log").read_text()
            assert running.checkpoints()["restored"] == 1
            assert [each["status"] for each in running.ask("/jobs")["jobs"]] in (["CANCELLING"], ["CANCELED"])
    job.check()


def test_backfill_writes_the_same_files(tmp_path: Path, trips: Path) -> None:
    data = f"data={trips}"
    run(COMMAND, "backfill", "--runner=flink", "--set", data, f"--output={tmp_path}/flink")
    assert twinbeam("backfill", "--set", data, "--output", tmp_path / "local").exit_code == 0
    local = {path.name: path.read_bytes() for path in (tmp_path / "local").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "flink").iterdir()} == local


def test_replay_finds_no_difference(trips: Path) -> None:
    said = run(COMMAND, "replay", "--runner=flink", f"--set=data={trips}", "--set=live.lookback=60d", "--json")
    found = json.loads(said)
    assert found["requests"] == 15_002
    assert (found["mismatches"], found["never_compared"]) == (0, 0)
    assert found["compared"] > found["requests"] * found["features"]
