"""Waits for what is down: stores and sources that cannot be reached are tried again until they can."""

from collections.abc import Callable
from typing import TypeVar

import tenacity

from modules.spec import SourceUnavailable, StoreUnavailable
from pipeline.live.metrics import RETRIES

_Result = TypeVar("_Result")


def _count(state: tenacity.RetryCallState) -> None:
    assert state.outcome is not None
    RETRIES.labels("store" if isinstance(state.outcome.exception(), StoreUnavailable) else "source").inc()


def patiently(attempt: Callable[[], _Result]) -> _Result:
    """The result of an attempt, repeated after 0.1 s, 0.2 s and so on up to 10 s while store or source are away."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((StoreUnavailable, SourceUnavailable)),
        wait=tenacity.wait_exponential(multiplier=0.1, max=10) + tenacity.wait_random(0, 0.1),
        before_sleep=_count,
        reraise=True,
    )(attempt)
