"""The live features of rows: read from the store within a deadline, or what the declared policy has in their place."""

import asyncio
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

import numpy as np
import pyarrow as pa

from modules.kernel.window import NEVER
from modules.spec import Declaration, InputError, Serving, StoreUnavailable, micros
from pipeline.gateway import times
from pipeline.gateway.refusal import Problem, Refusal, away, of_fields, too_slow
from pipeline.gateway.rows import Rows
from pipeline.live.reader import FeatureReader, LiveValue, Look, Status
from pipeline.sources.source import EARLIEST
from pipeline.stores.urls import without_password

Clock = Literal["now", "stream"]
DEFAULT = "default"
"""The status of a value that the policy has put in the place of what was read, or could not be."""
THREADS = 32
"""Requests that are answered at a time."""

_WORDS = [status.words for status in Status]
_LOG = logging.getLogger(__name__)
_Result = TypeVar("_Result")


@dataclasses.dataclass(frozen=True)
class Looked:
    """The live features of rows."""

    times: np.ndarray
    """int64, shape (rows,): microseconds."""
    values: Mapping[str, np.ndarray]
    """By feature: int64 or float64, shape (rows,)."""
    statuses: Mapping[str, list[str]]
    """By feature: known, empty, unknown or default, of each row."""
    complete: Mapping[str, np.ndarray]
    """By feature: bool, shape (rows,)."""
    watermarks: Mapping[str, int | None]
    """By source, microseconds; None where nothing is known."""
    stale: np.ndarray
    """bool, shape (rows,)."""
    defaults: np.ndarray
    """bool, shape (rows,): whether the row's live features are those of an unknown key by policy."""

    def columns(self) -> dict[str, pa.Array]:
        """The values as columns."""
        return {name: pa.array(values) for name, values in self.values.items()}

    def facts(self, row: int, names: Sequence[str] | None = None) -> dict[str, Any]:
        """What a reply says of a row's live features: all of them, or only some.

        Args:
          row: Which.
          names: The features, all if None.
        """
        chosen = list(self.values) if names is None else names
        live = {
            name: {
                "value": self.values[name][row].item(),
                "status": self.statuses[name][row],
                "complete": bool(self.complete[name][row]),
            }
            for name in chosen
        }
        return {
            "time": times.text(int(self.times[row])),
            "live": live,
            "as_of": {name: None if mark is None else times.text(mark) for name, mark in self.watermarks.items()},
            "complete": all(value["complete"] for value in live.values()),
            "stale": bool(self.stale[row]),
        }


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
    ) -> _Result:
        """What `then` makes of the live features of rows, as the policy will have these.

        Both happen in one thread: to hand over to another costs about as much as to read.

        Args:
          rows: Checked.
          check: Checks them once more, as of their times.
          policy: What to do where the store is down, or stale.
          then: It has no deadline here.

        Raises:
          Refusal: 422 for a time that is too old, 503 and 504 as the policy says; and what `then` raises.
        """
        decided = threading.Lock()
        """Taken by who is first: the thread that has read, or the deadline."""

        def work() -> _Result:
            looked = self._look(rows, check, policy)
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

    def _look(self, rows: Rows, check: Callable[[Rows, np.ndarray], None], policy: Serving) -> Looked:
        try:
            at, look = self._told(lambda: self._read(rows, check))
        except Refusal as refusal:
            if refusal.status < 500 or policy.when_down == "refuse":
                raise
            return self._without_store(rows, refusal)
        if look is None:
            return Looked(at, {}, {}, {}, {}, np.zeros(len(rows), bool), np.zeros(len(rows), bool))
        self._refuse_too_old(rows, at, look)
        watermarks = {name: mark if mark > EARLIEST else None for name, mark in look.watermarks.items()}
        behind = at - min((NEVER if mark is None else mark) for mark in watermarks.values())
        stale = behind > self._stale_after
        if stale.any() and policy.when_stale == "refuse":
            raise self._stale(at, stale, watermarks)
        replaced = stale if policy.when_stale == "defaults" else np.zeros(len(rows), bool)
        return self._looked(at, look.values, watermarks, stale, replaced)

    async def watermarks(self) -> dict[str, int | None]:
        """How far the store is, by source, in microseconds; None where nothing is known.

        Raises:
          Refusal: 503 if the store is away, 504 if it is too slow.
        """
        reader = self._reader
        if reader is None:
            return {}
        reading = asyncio.get_running_loop().run_in_executor(self._threads, self._told, reader.watermarks)
        try:
            found = await asyncio.wait_for(reading, self._timeout_s)
        except TimeoutError:
            raise self._too_slow() from None
        return {name: mark if mark > EARLIEST else None for name, mark in found.items()}

    def _read(self, rows: Rows, check: Callable[[Rows, np.ndarray], None]) -> tuple[np.ndarray, Look | None]:
        """The times of rows, and what the store says as of them."""
        clock = self._now(rows) if None in rows.times else 0
        at = np.array([clock if each is None else each for each in rows.times], np.int64)
        if self._reader is None:
            return at, None
        check(rows, at)
        if len(rows) == 1:
            return at, self._reader.look_one({name: each[0].as_py() for name, each in rows.columns.items()}, int(at[0]))
        return at, self._reader.look(dict(rows.columns), at)

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
        return self._looked(at, {}, dict.fromkeys(self._sources), everything, everything)

    def _looked(
        self,
        at: np.ndarray,
        read: Mapping[str, LiveValue],
        watermarks: Mapping[str, int | None],
        stale: np.ndarray,
        replaced: np.ndarray,
    ) -> Looked:
        values, statuses, complete = {}, {}, {}
        for name, feature in self._declaration.live_features.items():
            default = np.full(len(at), feature.value_when_empty, np.int64 if feature.dtype == "int" else np.float64)
            if name not in read:
                values[name], statuses[name], complete[name] = default, [DEFAULT] * len(at), np.zeros(len(at), bool)
                continue
            found = read[name]
            values[name] = np.where(replaced, default, found.values)
            words = [_WORDS[status] for status in found.status.tolist()]
            statuses[name] = [DEFAULT if by_policy else word for by_policy, word in zip(replaced, words, strict=True)]
            complete[name] = found.complete & ~replaced
        return Looked(at, values, statuses, complete, watermarks, stale, replaced)

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
        marks = ", ".join(
            f"{name} {'unknown' if mark is None else times.text(mark)}" for name, mark in watermarks.items()
        )
        limit = self._declaration.serving.stale_after
        message = f"the store is more than {limit} behind the request's time; it is at {marks}."
        problems = [Problem(row, self._declaration.time, message) for row in np.flatnonzero(stale).tolist()]
        return away(f"{self._url}: {message} Look after the stream, or repeat later.", problems)


class _TooLate(Exception):
    """The deadline has passed; somebody else has answered."""
