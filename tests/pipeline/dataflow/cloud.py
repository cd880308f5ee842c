"""A cloud to submit to: fake-gcs-server, and a Dataflow that keeps what it is asked for and does none of it."""

import contextlib
import dataclasses
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from apache_beam.internal.gcp import auth
from apache_beam.portability.api import beam_runner_api_pb2
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tests.go_tools import fake_gcs_server
from tests.pipeline.stores.servers import running

Json = dict[str, Any]
BUCKETS = ["tb-data", "tb-staging", "tb-temp"]


@dataclasses.dataclass
class FakeDataflow:
    """What was asked for; each job that is created is done at once, unless it is a streaming job."""

    url: str
    jobs: list[Json] = dataclasses.field(default_factory=list)
    """The jobs of CreateJob, in order."""
    updates: list[tuple[str, Json]] = dataclasses.field(default_factory=list)
    """(job id, body) of UpdateJob."""
    refuses: str = ""
    """Why it refuses jobs; empty: it does not."""


@dataclasses.dataclass(frozen=True)
class Cloud:
    """Both."""

    dataflow: FakeDataflow
    storage: storage.Client

    def buckets(self) -> list[str]:
        """The names of all buckets."""
        return sorted(bucket.name for bucket in self.storage.list_buckets())

    def read(self, url: str) -> bytes:
        """The content of an object."""
        bucket, _, name = url.removeprefix("gs://").partition("/")
        return bytes(self.storage.bucket(bucket).blob(name).download_as_bytes())

    def staged(self, job: Json) -> dict[str, bytes]:
        """What a job's staging directory holds, by name."""
        directory = job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"].rpartition("/")[0]
        bucket, _, prefix = directory.removeprefix("gs://").partition("/")
        blobs = self.storage.list_blobs(bucket, prefix=f"{prefix}/")
        return {blob.name.rpartition("/")[2]: bytes(blob.download_as_bytes()) for blob in blobs}

    def pipeline(self, job: Json) -> beam_runner_api_pb2.Pipeline:
        """The pipeline that workers are given."""
        return beam_runner_api_pb2.Pipeline.FromString(self.staged(job)["pipeline.pb"])


@contextlib.contextmanager
def cloud() -> Iterator[Cloud]:
    """Both, and the environment that leads Beam to them."""
    binary = fake_gcs_server()
    arguments = ["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1"]
    before = {name: os.environ.get(name) for name in ("STORAGE_EMULATOR_HOST", "NO_GCE_CHECK")}
    with running(lambda port: [binary, *arguments, "-port", str(port)]) as server, _dataflow() as dataflow:
        host = f"http://127.0.0.1:{server.port}"
        os.environ |= {"STORAGE_EMULATOR_HOST": host, "NO_GCE_CHECK": "true"}
        client = storage.Client("fake", AnonymousCredentials(), client_options={"api_endpoint": host})
        for bucket in BUCKETS:
            client.create_bucket(bucket)
        known = auth._Credentials._credentials, auth._Credentials._credentials_init
        auth._Credentials._credentials, auth._Credentials._credentials_init = None, True  # else it looks for 20 s
        try:
            yield Cloud(dataflow, client)
        finally:
            auth._Credentials._credentials, auth._Credentials._credentials_init = known
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@contextlib.contextmanager
def _dataflow() -> Iterator[FakeDataflow]:
    kept = FakeDataflow("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if kept.refuses:
                self._answer({"error": {"code": 400, "message": kept.refuses, "status": "INVALID_ARGUMENT"}}, 400)
                return
            kept.jobs.append(job)
            streams = job["type"] in (2, "JOB_TYPE_STREAMING")
            state = {"currentState": "JOB_STATE_RUNNING" if streams else "JOB_STATE_DONE"}
            job |= {"id": f"job-{len(kept.jobs)}"} | state
            self._answer({"id": job["id"], "name": job["name"], "clientRequestId": job["clientRequestId"]} | state)

        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kept.updates.append((self.path.partition("?")[0].rpartition("/")[2], body))
            self._answer({})

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            one = path.rpartition("/jobs/")[2].partition("/")[0]
            known = [{"id": job["id"], "name": job["name"], "currentState": job["currentState"]} for job in kept.jobs]
            if path.endswith("/jobs"):
                self._answer({"jobs": known})
            elif path.endswith(("/messages", "/metrics")):
                self._answer({})
            else:
                self._answer(next(job for job in known if job["id"] == one))

        def _answer(self, body: Json, status: int = 200) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://localhost:{server.server_port}"  # by this name Beam knows that it is to speak HTTP
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
