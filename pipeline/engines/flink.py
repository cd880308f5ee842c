"""Apache Flink, by way of Beam's job server."""

import dataclasses
import importlib.metadata
import re
import shutil
from pathlib import Path

from modules.spec import InputError
from pipeline.engines.engine import Engine

HOME = Path(__file__).parents[2] / "deploy" / "flink"
EMBEDDED = "[local]"


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
            ("--streaming", "--shutdown_sources_after_idle_ms=1"),  # else a job whose sources end does not
            self.parallelism,
        )

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
