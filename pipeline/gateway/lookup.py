"""The live features of rows: read from the store within a deadline, or what the declared policy has in their place."""

import asyncio
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np

from modules.kernel.window import NEVER
from modules.spec import Declaration, InputError, Serving, StoreUnavailable, micros
from pipeline.gateway import times
from pipeline.gateway.refusal import Problem, Refusal, away, of_fields, too_slow
from pipeline.gateway.rows import Rows
from pipeline.live.reader import FeatureReader, LiveValue, Look, Status
from pipeline.sources.source import EARLIEST
from pipeline.stores.urls import without_password

Clock = Literal["now", "stream"]
DEFAULT = len(Status)
"""The status of a value that the policy has put in the place of what was read, or could not be."""
THREADS = 32
"""Requests that are answered at a time."""

_WORDS = (*(status.words for status in Status), "default")
_LOG = logging.getLogger(__name__)
_Result = TypeVar("_Result")


@dataclasses.dataclass(frozen=True)
class Looked:
    """The live features of rows."""

    times: np.ndarray
    """int64, shape (rows,): microseconds."""
    live: Mapping[str, LiveValue]
    """By feature; a status may be DEFAULT."""
    watermarks: Mapping[str, int | None]
    """By source, microseconds; None where nothing is known."""
    stale: np.ndarray
    """bool, shape (rows,)."""
    defaults: np.ndarray
    """bool, shape (rows,): whether the row's live features are those of an unknown key by policy."""

    def facts(self, row: int, names: Iterable[str] | None = None) -> dict[str, Any]:
        """What a reply says of a row's live features: all of them, or only some.

        Args:
          row: Which.
          names: The features, all if None.
        """
        live = {}
        for name in self.live if names is None else names:
            values, status, complete = self.live[name]
            live[name] = {"value": values.item(row), "status": words(status.item(row)), "complete": complete.item(row)}
        return {
            "time": times.text(self.times.item(row)),
            "live": live,
            "as_of": self._as_of,
            "complete": all(value["complete"] for value in live.values()),
            "stale": self.stale.item(row),
        }

    @cached_property
    def _as_of(self) -> dict[str, str | None]:
        return as_of(self.watermarks)


def words(status: int) -> str:
    """What a reply calls a status: known, empty, unknown or default."""
    return _WORDS[status]


def as_of(watermarks: Mapping[str, int | None]) -> dict[str, str | None]:
    """Watermarks as a reply says them."""
    return {name: None if mark is None else times.text(mark) for name, mark in watermarks.items()}


def _known(watermarks: Mapping[str, int]) -> dict[str, int | None]:
    """A store's watermarks, None where nothing is known."""
    return {name: mark if mark > EARLIEST else None for name, mark in watermarks.items()}


class Lookup:
    """Looks up live features. A store that hangs holds up a request for `timeout_s`, and no other request."""

    def __init__(self, declaration: Declaration, store: str, clock: Clock, timeout_s: float) -> None:
        """Reads nothing yet.

        Args:
          declaration: The features and the policy.
          store: The store's URL.
          clock: Where a request's time comes from that has none.
          timeout_s: For which one read may last.

        Raises:
          InputError: The URL names no store.
        """
        self._declaration = declaration
        self._url, self._clock, self._timeout_s = without_password(store), clock, timeout_s
        self._stale_after = micros(declaration.serving.stale_after)
        self._sources = list(declaration.live.sources) if declaration.live else []
        self._reader = FeatureReader.open(declaration, store) if declaration.live else None
        self._threads = ThreadPoolExecutor(THREADS, "answer")
        self._spare = ThreadPoolExecutor(THREADS, "without-store")
        """For those whose own thread hangs in the store."""

    def close(self) -> None:
        """Gives the store's connections back; waits for no read."""
        for threads in (self._threads, self._spare):
            threads.shutdown(wait=False, cancel_futures=True)
        if self._reader:
            self._reader.close()

    async def look(
        self,
        rows: Rows,
        check: Callable[[Rows, np.ndarray], None],
        policy: Serving,
        then: Callable[[Looked], _Result],
        *,
        alone: bool = True,
    ) -> _Result:
        """What `then` makes of the live features of rows, as the policy will have these.

        Both happen in one thread: to hand over to another costs about as much as to read.

        Args:
          rows: Checked.
          check: Checks them once more, as of their times.
          policy: What to do where the store is down, or stale.
          then: It has no deadline here.
          alone: Whether the rows are one request's. What is wrong with one row in the store must not give its
            neighbours defaults, so the rows of several are refused, whatever the policy says.

        Raises:
          Refusal: 422 for a time that is too old, 503 and 504 as the policy says; and what `then` raises.
        """
        decided = threading.Lock()
        """Taken by who is first: the thread that has read, or the deadline."""

        def work() -> _Result:
            looked = self._look(rows, check, policy, alone=alone)
            if not decided.acquire(blocking=False):
                raise _TooLate
            return then(looked)

        loop = asyncio.get_running_loop()
        working = loop.run_in_executor(self._threads, work)
        await asyncio.wait([working], timeout=self._timeout_s)
        if working.done() or not decided.acquire(blocking=False):
            return await working
        working.add_done_callback(lambda late: late.cancelled() or late.exception())  # nobody waits for it
        refusal = self._too_slow()
        if policy.when_down == "refuse":
            raise refusal
        looked = self._without_store(rows, refusal)
        return await loop.run_in_executor(self._spare, then, looked)

    def _look(self, rows: Rows, check: Callable[[Rows, np.ndarray], None], policy: Serving, *, alone: bool) -> Looked:
        try:
            at, look = self._told(lambda: self._read(rows, check))
        except Refusal as refusal:
            if refusal.status < 500 or policy.when_down == "refuse" or not alone:
                raise
            return self._without_store(rows, refusal)
        if look is None:
            return Looked(at, {}, {}, np.zeros(len(rows), bool), np.zeros(len(rows), bool))
        self._refuse_too_old(rows, at, look)
        watermarks = _known(look.watermarks)
        behind = at - min((NEVER if mark is None else mark) for mark in watermarks.values())
        stale = behind > self._stale_after
        if stale.any() and policy.when_stale == "refuse":
            raise self._stale(at, stale, watermarks)
        live = {name: look.values[name] for name in self._declaration.live_features}
        if policy.when_stale == "serve" or not stale.any():
            return Looked(at, live, watermarks, stale, np.zeros(len(rows), bool))
        for name, default in self._defaults(len(rows)).items():
            live[name] = LiveValue(*(np.where(stale, *both) for both in zip(default, live[name], strict=True)))
        return Looked(at, live, watermarks, stale, stale)

    async def watermarks(self) -> dict[str, int | None]:
        """How far the store is, by source, in microseconds; None where nothing is known.

        Nothing is known of a store that does not answer, where the declared policy has defaults for that.

        Raises:
          Refusal: 503 if the store is away, 504 if it is too slow.
        """
        reader = self._reader
        if reader is None:
            return {}
        reading = asyncio.get_running_loop().run_in_executor(self._threads, self._told, reader.watermarks)
        try:
            return _known(await asyncio.wait_for(reading, self._timeout_s))
        except TimeoutError:
            refusal = self._too_slow()
        except Refusal as refused:
            refusal = refused
        if self._declaration.serving.when_down == "refuse":
            raise refusal
        return dict.fromkeys(self._sources)

    def _read(self, rows: Rows, check: Callable[[Rows, np.ndarray], None]) -> tuple[np.ndarray, Look | None]:
        """The times of rows, and what the store says as of them."""
        clock = self._now(rows) if None in rows.times else 0
        at = np.array([clock if each is None else each for each in rows.times], np.int64)
        if self._reader is None:
            return at, None
        check(rows, at)
        if len(rows) == 1:
            return at, self._reader.look_one({name: value for name, (value,) in rows.values.items()}, at.item(0))
        return at, self._reader.look(rows.columns, at)

    def _now(self, rows: Rows) -> int:
        if self._clock == "now" or self._reader is None:
            return time.time_ns() // 1000
        found = self._reader.watermarks()
        if unknown := [name for name, mark in found.items() if mark <= EARLIEST]:
            raise away(
                f"{self._url}: nothing is known of {', '.join(unknown)} yet, and --clock stream takes a request's "
                "time from the store. Start the stream, or send a time."
            )
        return min(found.values())

    def _told(self, read: Callable[[], _Result]) -> _Result:
        """What a read gives; its errors as refusals."""
        try:
            return read()
        except (StoreUnavailable, InputError) as error:
            raise away(str(error)) from None
        except Refusal:
            raise
        except Exception:
            _LOG.exception("the store gave what cannot be read")
            raise away(f"{self._url}: the store gave what cannot be read. The gateway's log has more.") from None

    def _too_slow(self) -> Refusal:
        message = f"{self._url}: the store did not answer within {self._timeout_s} s."
        return too_slow(f"{message} Repeat later, or raise --store-timeout-s.")

    def _without_store(self, rows: Rows, refusal: Refusal) -> Looked:
        if None in rows.times and self._clock == "stream":
            raise refusal
        now = time.time_ns() // 1000
        at = np.array([now if each is None else each for each in rows.times], np.int64)
        everything = np.ones(len(rows), bool)
        return Looked(at, self._defaults(len(rows)), dict.fromkeys(self._sources), everything, everything)

    def _defaults(self, rows: int) -> dict[str, LiveValue]:
        """What the features of an unknown key are, by policy."""
        return {
            name: LiveValue(
                np.full(rows, feature.value_when_empty, np.int64 if feature.dtype == "int" else np.float64),
                np.full(rows, DEFAULT, np.int8),
                np.zeros(rows, bool),
            )
            for name, feature in self._declaration.live_features.items()
        }

    def _refuse_too_old(self, rows: Rows, at: np.ndarray, look: Look) -> None:
        """Refuses times that are older than the rows can answer."""
        if not (look.oldest > NEVER).any():
            return
        old = np.any([value.status == Status.TOO_OLD for value in look.values.values()], axis=0)
        if old.any():
            raise of_fields(
                [
                    Problem(
                        row,
                        self._declaration.time,
                        f"{times.text(int(at[row]))} is older than the rows in the store can answer; the oldest time "
                        f"that they can is {times.text(int(look.oldest[row]))}.",
                    )
                    for row in np.flatnonzero(old).tolist()
                ]
            )

    def _stale(self, at: np.ndarray, stale: np.ndarray, watermarks: Mapping[str, int | None]) -> Refusal:
        marks = ", ".join(f"{name} {mark or 'unknown'}" for name, mark in as_of(watermarks).items())
        limit = self._declaration.serving.stale_after
        message = f"the store is more than {limit} behind the request's time; it is at {marks}."
        problems = [Problem(row, self._declaration.time, message) for row in np.flatnonzero(stale).tolist()]
        return away(f"{self._url}: {message} Look after the stream, or repeat later.", problems)


class _TooLate(Exception):
    """The deadline has passed; somebody else has answered."""
