"""One HTTP request on its way: who it is, and what its log line will say."""

import dataclasses
import re
import time
import uuid
from collections.abc import Iterable
from typing import Any, Self

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACE_PARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?"
)
_TRACE_STATE = re.compile(r"[ -~]{1,512}")


@dataclasses.dataclass
class Call:
    """One HTTP request."""

    request_id: str
    """The caller's X-Request-ID if it is 1 to 128 letters, digits, dots, underscores and dashes; else a new one."""
    trace: tuple[tuple[str, str], ...]
    """Its W3C trace context, to be passed on; empty without a valid `traceparent`."""
    trace_id: str | None
    started: float = dataclasses.field(default_factory=time.perf_counter)
    """On the clock of `time.perf_counter`."""
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    """More for its log line."""

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]]) -> Self:
        """The call of a request with these headers, whose names are in lower case."""
        found: dict[str, list[str]] = {}
        for name, value in headers:
            found.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        ids = found.get("x-request-id", [])
        sane = len(ids) == 1 and _REQUEST_ID.fullmatch(ids[0])
        parents = found.get("traceparent", [])
        parent = _TRACE_PARENT.fullmatch(parents[0]) if len(parents) == 1 else None
        trace: list[tuple[str, str]] = []
        if parent:
            trace.append(("traceparent", parent[0]))
            state = ",".join(found.get("tracestate", []))
            if _TRACE_STATE.fullmatch(state):
                trace.append(("tracestate", state))
        return cls(ids[0] if sane else uuid.uuid4().hex, tuple(trace), parent["trace"] if parent else None)
