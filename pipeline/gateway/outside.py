"""What surrounds every request: its id, the API key, a bound on how many there are, its log line and its metrics."""

import dataclasses
import json
import time

import structlog
from starlette.datastructures import State
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.gateway.call import Call
from pipeline.gateway.refusal import Refusal, away
from pipeline.gateway.security import ApiKeys

MOST_AT_ONCE = 256
"""Requests that are being answered; one more is refused."""
OPEN = ("/healthz", "/readyz")
"""What needs no API key."""

_LOG = structlog.get_logger()


class Outside:
    """ASGI middleware; it lets no exception through."""

    def __init__(self, app: ASGIApp, keys: ApiKeys | None, state: State) -> None:
        """Around an application.

        Args:
          app: The application.
          keys: The API keys, if requests need one.
          state: Where the gateway is once the application has started.
        """
        self._app, self._keys, self._state = app, keys, state
        self._at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = scope["call"] = Call.of(scope["headers"])
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", call.request_id.encode())]
            await send(message)

        self._at_once += 1
        try:
            if refusal := self._refuses(scope):
                await error_response(call, refusal)(scope, receive, send_with_id)
            else:
                await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            call.facts["disconnected"] = True
        except Exception:
            _LOG.exception("unexpected", request_id=call.request_id)
            if not status:
                message = "An unexpected error, which is a fault of the gateway. Its log has more."
                await error_response(call, Refusal(500, message))(scope, receive, send_with_id)
        finally:
            self._at_once -= 1
            self._note(scope, call, status)

    def _refuses(self, scope: Scope) -> Refusal | None:
        if scope["path"] in OPEN:
            return None
        if self._keys:
            given = [value for name, value in scope["headers"] if name == b"authorization"]
            if len(given) != 1 or not self._keys.accepts(given[0]):
                message = "The API key is missing or wrong. Send the header Authorization: Bearer KEY."
                return Refusal(401, message, headers={"WWW-Authenticate": "Bearer"})
        if self._at_once > MOST_AT_ONCE:
            return away(f"More than {MOST_AT_ONCE} requests are being answered. Repeat later.")
        return None

    def _note(self, scope: Scope, call: Call, status: int) -> None:
        seconds = time.perf_counter() - call.started
        route = getattr(scope.get("route"), "path", "(none)")  # never the path itself, in which keys of entities are
        self._state.gateway.metrics.answered(route, status, seconds)
        about = {"trace_id": call.trace_id} if call.trace_id else {}
        _LOG.info(
            "request",
            request_id=call.request_id,
            method=scope["method"],
            route=route,
            status=status,
            ms=round(seconds * 1e3, 3),
            **about,
            **call.facts,
        )


def error_response(call: Call, refusal: Refusal) -> Response:
    """The reply that tells of a refusal."""
    call.facts["error"] = refusal.message
    problems = [dataclasses.asdict(problem) for problem in refusal.problems]
    document = {"error": {"message": refusal.message, "problems": problems}, "request_id": call.request_id}
    return Response(json.dumps(document), refusal.status, refusal.headers, "application/json")
