"""A Flink cluster of two JVMs on this machine: a job manager, and task managers that can be killed."""

import contextlib
import json
import subprocess
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.engines.flink import HOME
from tests.pipeline.stores.servers import free_port

_JAR = HOME / "target" / "job-server.jar"
_PACKAGE = "org.apache.flink.runtime"
_JOB_MANAGER = f"{_PACKAGE}.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = f"{_PACKAGE}.taskexecutor.TaskManagerRunner"
SLOTS = 2
PATIENCE_S = 1_200


class Cluster:
    """A running job manager."""

    def __init__(self, directory: Path) -> None:
        """Starts nothing yet; configuration, logs and checkpoints are below `directory`."""
        self._directory = directory
        self._rest = free_port()
        conf = {
            "jobmanager.rpc.address": "127.0.0.1",
            "jobmanager.rpc.port": free_port(),
            "jobmanager.bind-host": "127.0.0.1",
            "rest.address": "127.0.0.1",
            "rest.bind-address": "127.0.0.1",
            "rest.port": self._rest,
            "taskmanager.host": "127.0.0.1",
            "taskmanager.bind-host": "127.0.0.1",
            "taskmanager.numberOfTaskSlots": SLOTS,
            "taskmanager.cpu.cores": SLOTS,
            "taskmanager.memory.task.heap.size": "256m",
            "taskmanager.memory.task.off-heap.size": "0",
            "taskmanager.memory.framework.heap.size": "64m",
            "taskmanager.memory.framework.off-heap.size": "64m",
            "taskmanager.memory.jvm-metaspace.size": "128m",
            "taskmanager.memory.jvm-overhead.min": "64m",
            "taskmanager.memory.jvm-overhead.max": "64m",
            "taskmanager.memory.managed.size": "64m",
            "taskmanager.memory.network.min": "64m",
            "taskmanager.memory.network.max": "64m",
            "state.checkpoints.dir": f"file://{directory}/checkpoints",
            "heartbeat.interval": 2_000,
            "heartbeat.timeout": 60_000,  # a busy machine is no dead one; a killed JVM refuses connections at once
            "pekko.ask.timeout": "60s",
        }
        conf_file = directory / "conf" / "flink-conf.yaml"
        conf_file.parent.mkdir()
        conf_file.write_text("".join(f"{name}: {value}\n" for name, value in conf.items()))

    @property
    def master(self) -> str:
        return f"127.0.0.1:{self._rest}"

    @contextlib.contextmanager
    def java(self, main: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A JVM of the cluster, killed at the end."""
        command = ["java", "-Xmx512m", *_opened(), "-cp", str(_JAR), main, "--configDir", f"{self._directory}/conf"]
        with open(self._directory / "log", "ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def task_manager(self) -> Iterator["subprocess.Popen[bytes]"]:
        """One more task manager, which the job manager knows."""
        known = self._task_managers()
        with self.java(_TASK_MANAGER) as process:
            wait_until(lambda: bool(self._task_managers() - known), process)
            yield process

    def _task_managers(self) -> set[str]:
        return {each["id"] for each in (self.ask("/taskmanagers") or {"taskmanagers": []})["taskmanagers"]}

    def ask(self, path: str) -> Any:
        """What the REST interface answers; None while it does not."""
        try:
            with urllib.request.urlopen(f"http://{self.master}{path}", timeout=10) as answer:
                return json.load(answer)
        except OSError:
            return None

    def checkpoints(self) -> dict[str, int]:
        """How many checkpoints of the only job are completed, failed, restored."""
        jobs = (self.ask("/jobs") or {"jobs": []})["jobs"]
        found = self.ask(f"/jobs/{jobs[0]['id']}/checkpoints") if jobs else None
        return found["counts"] if found else {"completed": 0, "restored": 0}


@contextlib.contextmanager
def cluster(directory: Path) -> Iterator[Cluster]:
    """A job manager without a task manager."""
    made = Cluster(directory)
    with made.java(_JOB_MANAGER) as process:
        wait_until(lambda: made.ask("/overview") is not None, process)
        yield made


def wait_until(true: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    """Waits for something while a process runs."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert process.poll() is None, f"{process.args!r} has ended"
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _opened() -> list[str]:
    """What Flink wants opened to it, as the job server's manifest names it; `java -cp` does not read that."""
    manifest = zipfile.ZipFile(_JAR).read("META-INF/MANIFEST.MF").decode().replace("\r\n ", "")
    (packages,) = [line.split(": ")[1] for line in manifest.splitlines() if line.startswith("Add-Opens")]
    return [f"--add-opens={package}=ALL-UNNAMED" for package in packages.split()]
