"""Requests that come while others are being answered wait, and are then answered together: several cost hardly more
than one. A request that finds a turn free goes alone and at once.
"""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pipeline.gateway.call import Call
from pipeline.gateway.metrics import Stage
from pipeline.gateway.refusal import Refusal
from pipeline.gateway.rows import Rows

TURNS = 1
"""Groups that are being answered while others wait. Of two each is smaller, and together they cost more."""
TURN_S = 0.1
"""After which a group holds up nobody any longer: the store or the model server may hang."""
MOST_ROWS = 64
"""Of several requests together; one with more goes alone."""


@dataclasses.dataclass(eq=False)
class Asked:
    """A request for scores. Made in the event loop."""

    rows: Rows
    call: Call
    since: float = dataclasses.field(default_factory=time.perf_counter)
    """On the clock of `time.perf_counter`."""
    took: dict[Stage, float] = dataclasses.field(default_factory=dict)
    """Seconds; of a request that is answered a second time, those of the second."""
    reply: asyncio.Future[dict[str, Any]] = dataclasses.field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def timed(self) -> bool:
        """Whether no row's time is left to the clock."""
        return None not in self.rows.times


class Joined:
    """Joins requests into groups. Used in one event loop."""

    def __init__(self, answer: Callable[[Sequence[Asked]], Awaitable[Sequence[dict[str, Any]]]]) -> None:
        """Around what answers a group.

        Args:
          answer: Gives a reply for each request. What it raises is of the whole group.
        """
        self._answer = answer
        self._waiting: list[Asked] = []
        self._turns_left = TURNS
        self._running: set[asyncio.Task[None]] = set()

    async def reply(self, asked: Asked) -> dict[str, Any]:
        """The reply to a request.

        Raises:
          Refusal: The one that it gets alone; that of the group if this was too slow.
        """
        self._waiting.append(asked)
        self._begin()
        return await asked.reply

    def _begin(self) -> None:
        """Gives turns while there are some."""
        while self._turns_left and self._waiting:
            self._turns_left -= 1
            turn = asyncio.create_task(self._turn(self._take()))
            self._running.add(turn)  # the event loop holds its tasks but weakly
            turn.add_done_callback(self._running.discard)

    def _take(self) -> list[Asked]:
        """The request that has waited longest, and those that may go with it.

        With a time or without one: while the store is down, the policy may refuse only the latter.
        """
        first = self._waiting[0]
        group, left, rows = [first], [], len(first.rows)
        for each in self._waiting[1:]:
            if each.timed == first.timed and rows + len(each.rows) <= MOST_ROWS:
                group.append(each)
                rows += len(each.rows)
            else:
                left.append(each)
        self._waiting = left
        return group

    async def _turn(self, group: list[Asked]) -> None:
        answering = asyncio.create_task(self._together(group))
        await asyncio.wait([answering], timeout=TURN_S)
        self._turns_left += 1
        self._begin()
        await answering

    async def _together(self, group: list[Asked]) -> None:
        """Answers a group; where it is refused, each by itself, since the fault may be one's alone."""
        try:
            replies = await self._answer(group)
        except Exception as error:
            too_slow = isinstance(error, Refusal) and error.status == 504  # who waits again is answered twice as late
            if len(group) == 1 or too_slow:
                for each in group:
                    if not each.reply.done():
                        each.reply.set_exception(error)
            else:
                await asyncio.gather(*(self._together([each]) for each in group))
            return
        for each, reply in zip(group, replies, strict=True):
            if not each.reply.done():  # its caller may be gone
                each.reply.set_result(reply)
