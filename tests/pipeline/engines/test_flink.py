"""What Beam is told of Flink, and what is refused before it is asked."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions, PortableOptions, StandardOptions

from modules.spec import InputError
from pipeline.cli.options import engine_of
from pipeline.engines.engine import LOCAL
from pipeline.engines.flink import HOME, Flink


def collected(home: Path, version: str) -> Path:
    """A home with a job server of some version."""
    (home / "target" / "lib").mkdir(parents=True)
    (home / "target" / "lib" / f"beam-runners-flink-1.19-{version}.jar").touch()
    return home


def test_beam_understands_what_it_is_told(tmp_path: Path) -> None:
    home = collected(tmp_path, importlib.metadata.version("apache-beam"))
    engine = Flink("cluster:8081", 3, home).engine()
    options = PipelineOptions([*engine.beam_args, *engine.stream_args])
    flink, standard = options.view_as(FlinkRunnerOptions), options.view_as(StandardOptions)
    assert (flink.flink_master, flink.parallelism) == ("cluster:8081", 3)
    assert flink.flink_job_server_jar == f"{home}/target/job-server.jar"
    assert (standard.runner, standard.streaming) == ("FlinkRunner", True)
    assert options.view_as(PortableOptions).environment_type == "LOOPBACK"
    assert not PipelineOptions(engine.beam_args).view_as(StandardOptions).streaming


@pytest.mark.parametrize("master", ["cluster", "http://cluster:8081", "cluster:port", "[auto]"])
def test_a_job_manager_is_host_and_port(master: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"--flink-master {master}: accepted: HOST:PORT")):
        Flink(master)


def test_without_a_job_server_it_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"no job server in {tmp_path}/target. Collect it with `make flink`"):
        Flink(home=tmp_path).engine()


def test_a_job_server_of_another_version_is_refused(tmp_path: Path) -> None:
    sdk = importlib.metadata.version("apache-beam")
    with pytest.raises(InputError, match=f"this is Beam {sdk}, and the job server's is 1.2.3. Use {tmp_path}/.venv"):
        Flink(home=collected(tmp_path, "1.2.3")).engine()


def test_without_java_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="there is no Java"):
        Flink(home=tmp_path).engine()


def test_options_of_flink_are_for_flink() -> None:
    assert engine_of("local", "", 1) == LOCAL
    for master, parallelism in [("cluster:8081", 1), ("", 2)]:
        with pytest.raises(InputError, match="are for --runner flink"):
            engine_of("local", master, parallelism)


def test_job_server_and_environment_have_one_version() -> None:
    server = re.search("<version>(.+)</version>", (HOME / "pom.xml").read_text())
    locked = tomllib.loads((HOME / "uv.lock").read_text())["package"]
    (sdk,) = [package["version"] for package in locked if package["name"] == "apache-beam"]
    assert server is not None
    assert server[1] == sdk
