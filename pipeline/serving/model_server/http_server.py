"""An ASGI application on a port, in a thread of its own."""

import socket
import threading
from typing import Any

import uvicorn

_KEEP_ALIVE_S = 75


class HttpServer:
    """Serves from its making until `stop`."""

    def __init__(self, application: Any, host: str, port: int) -> None:
        """Binds the port and begins to serve.

        Args:
          application: What answers.
          host: An address of this machine.
          port: 0: a free one.

        Raises:
          OSError: The port cannot be bound.
        """
        listening = socket.create_server((host, port), backlog=1024)
        self.port: int = listening.getsockname()[1]
        # Connections inherit it. Else header and body, which are two writes, are 40 ms apart.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(
            application, lifespan="off", access_log=False, log_config=None, timeout_keep_alive=_KEEP_ALIVE_S,
            server_header=False, timeout_graceful_shutdown=5,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), name="http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finishes the requests in flight, for some seconds at most."""
        self._server.should_exit = True
        self._thread.join()
