"""Apache Flink, by way of Beam's job server."""

import dataclasses
import importlib.metadata
import json
import re
import shutil
import urllib.request
from pathlib import Path

from modules.spec import InputError
from pipeline.engines.engine import Engine

HOME = Path(__file__).parents[2] / "deploy" / "flink"
EMBEDDED = "[local]"
_REST_S = 30.0
_NEVER_MS = 10**11
"""Three years. With the greatest number that it takes, Flink never runs what comes after its sources."""


@dataclasses.dataclass(frozen=True)
class Flink:
    """A cluster, and how a job gets there. The job's Python runs in the process that submits it (LOOPBACK).

    Raises:
      InputError: A field is not accepted.
    """

    master: str = EMBEDDED
    """HOST:PORT of a job manager's REST interface; or a cluster inside the job server, for one job."""
    parallelism: int = 1
    """How many task slots the job takes."""
    home: Path = HOME
    """Where `make flink` has put the job server and the environment; `conf/` there is Flink's configuration."""

    def __post_init__(self) -> None:
        if self.master != EMBEDDED and not re.fullmatch(r"[\w.-]+:\d{1,5}", self.master):
            raise InputError(f"--flink-master {self.master}: accepted: HOST:PORT of a job manager.")

    def engine(self) -> Engine:
        """What Beam is told.

        Raises:
          InputError: Flink cannot be used from here.
        """
        if shutil.which("java") is None:
            raise InputError("--runner flink: there is no Java. Install a runtime of version 17.")
        server, sdk = self.job_server_version(), importlib.metadata.version("apache-beam")
        if sdk != server:
            raise InputError(
                f"--runner flink: this is Beam {sdk}, and the job server's is {server}. Use {self.home}/.venv/bin/"
                "twinbeam, which `make flink` sets up."
            )
        return Engine(
            (
                "--runner=FlinkRunner",
                f"--flink_job_server_jar={self._target}/job-server.jar",
                f"--flink_master={self.master}",
                f"--flink_conf_dir={self.home}/conf",
                f"--parallelism={self.parallelism}",
                "--job_server_jvm_properties=-Xmx512m",
                "--environment_type=LOOPBACK",
            ),
            # Where Flink ends a job because its bounded sources have, it now and then forgets those still polled. In a
            # job that runs on, a bundle that waits for more, here for the next worker's number, can wait for ever.
            ("--streaming", "--max_bundle_size=1", f"--shutdown_sources_after_idle_ms={_NEVER_MS}"),
            self.parallelism,
            self.cancel,
        )

    def cancel(self, name: str) -> None:
        """Cancels a job of the cluster, by its name. The cluster of one job ends with its job server."""
        if self.master == EMBEDDED:
            return
        with urllib.request.urlopen(f"http://{self.master}/jobs/overview", timeout=_REST_S) as answer:
            jobs = json.load(answer)["jobs"]
        for job in jobs:
            if job["name"] == name:
                asked = urllib.request.Request(f"http://{self.master}/jobs/{job['jid']}?mode=cancel", method="PATCH")
                urllib.request.urlopen(asked, timeout=_REST_S).close()  # noqa: S310  it is http

    def job_server_version(self) -> str:
        """Beam's version in the job server.

        Raises:
          InputError: It is not there.
        """
        runners = list((self._target / "lib").glob("beam-runners-flink-*.jar"))
        if not runners:
            raise InputError(f"--runner flink: there is no job server in {self._target}. Collect it with `make flink`.")
        return runners[0].stem.rpartition("-")[2]

    @property
    def _target(self) -> Path:
        return self.home / "target"
