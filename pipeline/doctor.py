"""What is installed and reachable for each engine, and how to mend the rest. It starts and changes nothing."""

import configparser
import dataclasses
import importlib.metadata
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

from modules.spec import TwinbeamError
from pipeline.engines.flink import HOME, Flink
from pipeline.stores.urls import list_namespaces, without_password

_PATIENCE_S = 5
_DEPLOY = HOME.parent
_IN_PLACE = "`make run` sets it up"


class _Missing(Exception):
    """Something is not there; the message says how to mend it."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found of one thing that an engine needs."""

    engine: str
    part: str
    there: bool
    says: str
    """Which one is there; or what is wrong, and how to mend it."""


def examine(store: str, flink_master: str = "") -> list[Finding]:
    """Looks at everything, the engines in the order of the docs.

    Args:
      store: The URL of an online store to reach.
      flink_master: HOST:PORT of a job manager to reach; empty: none is asked.
    """
    checks: list[tuple[str, str, Callable[[], str]]] = [
        ("local", "Python", platform.python_version),
        ("local", "Beam", lambda: _package("apache-beam")),
        ("local", "TFX", lambda: _package("tfx")),
        ("local", "browser", lambda: _program("chromium", "google-chrome", mend="apt-get install chromium")),
        ("dataflow", "client", lambda: _package("google-cloud-storage")),
        ("dataflow", "credentials", _google_credentials),
        ("dataflow", "project", _google_project),
        ("flink", "Java", _java),
        ("flink", "job server", lambda: f"Beam {Flink().job_server_version()}"),
        ("flink", "environment", lambda: _file(HOME / ".venv" / "bin" / "twinbeam", "`make flink` sets it up")),
        *([("flink", "job manager", lambda: _job_manager(flink_master))] if flink_master else []),
        ("airflow", "environment", _airflow),
        ("kubernetes", "kubectl", lambda: _program("kubectl", mend="install it as kubernetes.io says")),
        ("kubernetes", "cluster", _kubernetes),
        ("stores", "online store", lambda: _store(store)),
        ("stores", "Redis", lambda: _program("redis-server", mend="apt-get install redis-server")),
        ("stores", "Bigtable emulator", lambda: _emulator("BIGTABLE_EMULATOR_HOST", "bigtable")),
        ("stores", "Pub/Sub emulator", lambda: _emulator("PUBSUB_EMULATOR_HOST", "pubsub")),
    ]
    return [_find(*check) for check in checks]


def _find(engine: str, part: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(engine, part, True, check())
    except (_Missing, TwinbeamError) as error:
        return Finding(engine, part, False, str(error))


def _package(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        raise _Missing(f"the package {name} is not installed here; {_IN_PLACE}.") from None


def _program(*names: str, mend: str) -> str:
    for name in names:
        if found := shutil.which(name):
            return found
    raise _Missing(f"there is no {' or '.join(names)} on PATH; {mend}.")


def _file(path: Path, mend: str) -> str:
    if not path.is_file():
        raise _Missing(f"there is no {path}; {mend}.")
    return str(path)


def _gcloud_directory() -> Path:
    return Path(os.environ.get("CLOUDSDK_CONFIG", Path.home() / ".config" / "gcloud"))


def _google_credentials() -> str:
    """Where they are; they are not read."""
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    path = Path(named) if named else _gcloud_directory() / "application_default_credentials.json"
    return _file(path, "`gcloud auth application-default login`, or name a file with GOOGLE_APPLICATION_CREDENTIALS")


def _google_project() -> str:
    if project := os.environ.get("GOOGLE_CLOUD_PROJECT"):
        return project
    active = _gcloud_directory() / "active_config"
    name = active.read_text().strip() if active.is_file() else "default"
    settings = configparser.ConfigParser()
    settings.read(_gcloud_directory() / "configurations" / f"config_{name}")
    if project := settings.get("core", "project", fallback=None):
        return project
    raise _Missing("none is set; `gcloud config set project PROJECT`, or set GOOGLE_CLOUD_PROJECT.")


def _java() -> str:
    java = _program("java", mend="install a runtime of version 17")
    command = [java, "-version"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stderr  # noqa: S603
    version = re.search('version "([^"]+)"', said)
    if version is None:
        raise _Missing(f"{java} does not say its version; install a runtime of version 17.")
    return version[1]


def _job_manager(master: str) -> str:
    address = Flink(master).master
    try:
        with urllib.request.urlopen(f"http://{address}/overview", timeout=_PATIENCE_S) as answer:
            seen = json.load(answer)
        return f"Flink {seen['flink-version']}, {seen['slots-available']} of {seen['slots-total']} slots free"
    except (OSError, ValueError, KeyError) as error:
        raise _Missing(
            f"{address} does not answer as a job manager ({error}); start it, or correct --flink-master."
        ) from None


def _airflow() -> str:
    own = _DEPLOY / "airflow" / ".venv" / "bin" / "airflow"
    return str(own) if own.is_file() else _program("airflow", mend="`uv sync --project deploy/airflow`")


def _kubernetes() -> str:
    """The configuration that kubectl reads; no cluster is asked."""
    path = os.environ.get("KUBECONFIG", "").partition(os.pathsep)[0] or Path.home() / ".kube" / "config"
    return _file(Path(path), "get your cluster's, or name it with KUBECONFIG")


def _store(url: str) -> str:
    count = len(list_namespaces(url))
    return f"{without_password(url)}: {count} {'namespace' if count == 1 else 'namespaces'}"


def _emulator(variable: str, kind: str) -> str:
    address = os.environ.get(variable, "")
    if not address:
        raise _Missing(f"{variable} is not set; for trials: `gcloud beta emulators {kind} start`.")
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _PATIENCE_S).close()
    except (OSError, ValueError) as error:
        raise _Missing(f"{variable}={address}: nobody answers ({error}); start it, or unset {variable}.") from None
    return address
