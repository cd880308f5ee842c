"""Threads that work for an event loop. To hand over to one and back takes a third of what the loop's executor takes."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class Threads:
    """A few threads, of which each is started once all others are busy. Used in one event loop."""

    def __init__(self, most: int, name: str) -> None:
        """Starts none yet.

        Args:
          most: Threads; what comes while all are busy waits.
          name: Theirs.
        """
        self._most, self._name = most, name
        self._started = self._busy = 0
        self._work: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = SimpleQueue()

    def run(self, work: Callable[[], _Result]) -> "asyncio.Future[_Result]":
        """What some work gives, or raises, in a thread. It is dropped if the future has a result by then."""
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._busy += 1
        if self._busy > self._started < self._most:
            self._started += 1
            threading.Thread(target=self._serve, name=f"{self._name}_{self._started}", daemon=True).start()
        self._work.put((work, future))
        return future

    def close(self) -> None:
        """Ends the threads once they have done what they were given; waits for none."""
        for _ in range(self._started):
            self._work.put(None)

    def _serve(self) -> None:
        while given := self._work.get():
            work, future = given
            settle: Callable[[Any], None]
            try:
                settle, outcome = future.set_result, work()
            except BaseException as error:
                settle, outcome = future.set_exception, error
            with contextlib.suppress(RuntimeError):  # the loop is closed
                future.get_loop().call_soon_threadsafe(self._done, future, settle, outcome)
            del given, work, future, settle, outcome  # a thread that waits holds nothing

    def _done(self, future: "asyncio.Future[Any]", settle: Callable[[Any], None], outcome: Any) -> None:
        self._busy -= 1
        if not future.done():
            settle(outcome)
