"""Serves the metrics of this process, and whether it is ready, over HTTP."""

import contextlib
import threading
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import make_wsgi_app

from modules.spec import InputError
from pipeline.live.metrics import READY


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        """Says nothing: a probe a second is no news."""


@contextlib.contextmanager
def metrics_server(port: int, host: str = "127.0.0.1") -> Iterator[int]:
    """While it is entered, `/metrics` answers Prometheus, and `/ready` 200 once all sources are being merged, else 503.

    Args:
      port: 0: no server.
      host: The address; who reaches it may read what the job counts.

    Yields:
      The port; 0 without a server.

    Raises:
      InputError: The address cannot be had.
    """
    if port == 0:
        yield 0
        return
    metrics = make_wsgi_app()

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] != "/ready":
            return metrics(environ, start_response)
        ready = next(iter(READY.collect())).samples[0].value == 1
        start_response("200 OK" if ready else "503 Service Unavailable", [("Content-Type", "text/plain")])
        return [b"ready\n" if ready else b"not ready\n"]

    try:
        made = make_server(host, port, answer, _Server, _Quiet)
    except OSError as error:
        raise InputError(
            f"--metrics-host {host} --metrics-port {port}: {error.strerror}. Name another port or address."
        ) from None
    with made as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
