"""The gateway's process: where it listens, and how it ends."""

import contextlib
import gc
import os
import signal
import socket
import types
from collections.abc import Iterator
from pathlib import Path

import structlog
import uvicorn
from fastapi import FastAPI

from modules.spec import InputError
from pipeline.gateway import logs

DRAIN_S = 15
"""How long requests in flight may take once the gateway is told to end."""

_LOG = structlog.get_logger()


def serve(app: FastAPI, listening: socket.socket, certificate: Path | None, key: Path | None) -> None:
    """Answers until SIGTERM or SIGINT; then takes no more requests, and ends once those in flight are answered.

    Args:
      app: What answers.
      listening: Where.
      certificate: PEM file of the certificate chain, for TLS.
      key: PEM file of its key.

    Raises:
      InputError: Certificate or key cannot be used.
    """
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except (OSError, ValueError) as error:
        raise InputError(f"--tls-certificate {certificate}: cannot be used with --tls-key {key}: {error}.") from None
    logs.configure()
    host, port = listening.getsockname()[:2]
    scheme = "https" if certificate else "http"
    gc.freeze()  # what is loaded stays; to look it through again would hold up requests for a quarter of a second
    with _signals_only_drain():
        _LOG.info("listening", url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
        uvicorn.Server(config).run(sockets=[listening])
    _LOG.info("ended")


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections.

    Raises:
      InputError: The address cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise InputError(f"--host {host} --port {port}: {why}. Name another port or address.") from None
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it; a reply is two writes
    return listening


@contextlib.contextmanager
def _signals_only_drain() -> Iterator[None]:
    """Keeps a signal that uvicorn has drained for from ending the process: uvicorn raises it once more at the end."""

    def nothing(number: int, frame: types.FrameType | None) -> None:
        """The end is here already."""

    before = {number: signal.signal(number, nothing) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
