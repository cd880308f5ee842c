"""Message brokers for tests: real ones, on free ports of 127.0.0.1, each with its own folder, ended by the test."""

import contextlib
import functools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from filelock import FileLock

from tests.pipeline.stores.servers import free_port

KAFKA = "3.9.1"
_START_S = 60.0
_EMULATOR = Path("/usr/lib/google-cloud-sdk/platform/pubsub-emulator/lib")
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>twinbeam.tests</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA}</version>
  </dependency></dependencies>
</project>
"""
_JAVA = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


class Unavailable(Exception):
    """The server cannot be had on this machine; says why."""


class Server:
    """A server process that can be ended and started again on the same port."""

    def __init__(self, command: list[str], port: int, log: Path, ready: Callable[[str], bool]) -> None:
        self.address = f"127.0.0.1:{port}"
        self._command, self._log, self._ready = command, log, ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self._log.parent)
        until = time.monotonic() + _START_S
        while not self._ready(self.address):
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise RuntimeError(f"{self._command[-2:]} did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Ends it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def pubsub_emulator() -> Iterator[Server]:
    """Google's Pub/Sub emulator, which forgets all when it ends. PUBSUB_EMULATOR_HOST is set meanwhile."""
    jars = sorted(_EMULATOR.glob("cloud-pubsub-emulator-*-all.jar"))
    if not jars or shutil.which("java") is None:
        raise Unavailable("the Pub/Sub emulator needs java and google-cloud-cli-pubsub-emulator")
    port = free_port()
    command = [*_JAVA, "-jar", str(jars[-1]), "--host=127.0.0.1", f"--port={port}"]
    with _running(command, port, _listens) as server:
        before = os.environ.get("PUBSUB_EMULATOR_HOST")
        os.environ["PUBSUB_EMULATOR_HOST"] = server.address
        try:
            yield server
        finally:
            if before is None:
                del os.environ["PUBSUB_EMULATOR_HOST"]
            else:
                os.environ["PUBSUB_EMULATOR_HOST"] = before


@contextlib.contextmanager
def kafka_broker() -> Iterator[Server]:
    """A Kafka broker of one node (KRaft). Its topics outlive a crash, not the context."""
    jars = _kafka_jars()
    port, controller = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="twinbeam-kafka-") as directory:
        data = Path(directory, "data")
        data.mkdir()
        (data / "meta.properties").write_text("version=1\ncluster.id=dHdpbmJlYW0tdGVzdHMtMQ\nnode.id=1\n")
        config = Path(directory, "server.properties")
        config.write_text(
            "process.roles=broker,controller\nnode.id=1\n"
            f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n"
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n"
            f"controller.quorum.voters=1@127.0.0.1:{controller}\ncontroller.listener.names=CONTROLLER\n"
            f"log.dirs={data}\nauto.create.topics.enable=false\nnum.partitions=1\n"
            "offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n"
            "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
            "transaction.state.log.num.partitions=1\ngroup.initial.rebalance.delay.ms=0\n"
            "broker.heartbeat.interval.ms=200\nbroker.session.timeout.ms=1000\n"  # a crashed one may come back then
            "log.retention.ms=-1\n"  # tests write records of 1970
        )
        command = [*_JAVA, "-cp", f"{jars}/*", "kafka.Kafka", str(config)]
        with _running(command, port, _lists_topics) as server:
            yield server


@contextlib.contextmanager
def _running(command: list[str], port: int, ready: Callable[[str], bool]) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="twinbeam-server-") as directory:
        server = Server(command, port, Path(directory, "log"), ready)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@functools.cache
def _kafka_jars() -> Path:
    """The folder of Kafka's jars, fetched from Maven Central once and kept in the user's cache folder."""
    if shutil.which("java") is None:
        raise Unavailable("the Kafka broker needs java")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "twinbeam")
    jars = cache / f"kafka-{KAFKA}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{jars}.lock"):
        if not jars.exists():
            if shutil.which("mvn") is None:
                raise Unavailable("the Kafka broker needs mvn, once, to be fetched from Maven Central")
            with tempfile.TemporaryDirectory(dir=cache) as directory:
                Path(directory, "pom.xml").write_text(_POM)
                command = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars"]
                fetched = subprocess.run(command, cwd=directory, capture_output=True, text=True)
                if fetched.returncode:
                    raise Unavailable(
                        f"the Kafka broker could not be fetched from Maven Central: {fetched.stdout[-500:]}"
                    )
                Path(directory, "jars").rename(jars)
    return jars


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def _lists_topics(address: str) -> bool:
    if not _listens(address):
        return False
    try:
        AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=1)
    except KafkaException:
        return False
    return True
