"""Waits for what is down: stores and sources that cannot be reached are tried again until they can."""

import logging
from collections.abc import Callable
from typing import TypeVar

import tenacity

from modules.spec import SourceUnavailable, StoreUnavailable
from pipeline.live.control import Control
from pipeline.live.metrics import RETRIES

_Result = TypeVar("_Result")
_LOG = logging.getLogger(__name__)


def patiently(attempt: Callable[[], _Result], told: Control | None = None) -> _Result:
    """The result of an attempt, repeated after 0.1 s, 0.2 s and so on up to 10 s while store or source are away.

    Args:
      attempt: What can be repeated.
      told: Of the job. Once it is drained, there is one more attempt, at once; None: nothing ends the waiting.

    Raises:
      StoreUnavailable, SourceUnavailable: They were away at the last attempt.
    """
    told = told or Control()
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((StoreUnavailable, SourceUnavailable)),
        wait=tenacity.wait_exponential(multiplier=0.1, max=10) + tenacity.wait_random(0, 0.1),
        sleep=tenacity.sleep_using_event(told.draining),
        stop=tenacity.stop_when_event_set(told.draining) | tenacity.stop_after_delay(told.patience_s),
        before_sleep=_tell,
        reraise=True,
    )(attempt)


def _tell(state: tenacity.RetryCallState) -> None:
    assert state.outcome is not None
    error = state.outcome.exception()
    RETRIES.labels("store" if isinstance(error, StoreUnavailable) else "source").inc()
    _LOG.warning("waiting, attempt %d: %s", state.attempt_number, error)
