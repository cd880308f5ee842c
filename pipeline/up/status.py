"""How far the replay is, from what the store says."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from modules.kernel.window import NEVER
from modules.spec import TwinbeamError
from pipeline.dead_letters import LetterDirectory, Reason
from pipeline.live.watermark import HISTORY, source_watermark
from pipeline.stores.store import OnlineStore, Register
from pipeline.up.children import Child
from pipeline.up.replay import Replay, as_text


@dataclasses.dataclass(frozen=True)
class SourceStatus:
    """A source's stream."""

    name: str
    watermark: str | None
    """Everything ingested before it is in the store; None where nothing is known."""
    given: int
    """Events that the stream has merged, or put among the dead letters."""
    to_come: int
    dead_letters: int
    """Of the history too."""


@dataclasses.dataclass(frozen=True)
class Status:
    """All sources. Times are RFC 3339."""

    clock: str | None
    """The replay's: the least of the watermarks, and the time of a request that names none."""
    start: str
    end: str
    share: float
    """Of the time from start to end, 0 to 1."""
    ended: bool
    """Whether the recording has ended."""
    problem: str
    """Why nothing is known; empty: nothing is wrong."""
    sources: tuple[SourceStatus, ...]


def status(replay: Replay, store: OnlineStore, dead_letters: Path, stream: Child) -> Status:
    """How far the replay is now.

    Args:
      replay: What is replayed.
      store: Where the rows are.
      dead_letters: A directory.
      stream: The streaming job.
    """
    ended, problem = stream.ended, ""
    registers: list[Register] = []
    letters: Mapping[tuple[str, Reason], int] = {}
    try:
        registers = store.registers()
        letters = LetterDirectory(str(dead_letters)).counts()
    except TwinbeamError as error:
        problem = str(error)
    marks = {name: source_watermark(name, registers) for name in replay.events}
    sources = []
    for name, count in replay.events.items():
        given = sum(each.position for each in registers if each.source == name and each.partition != HISTORY)
        sources.append(
            SourceStatus(
                name,
                as_text(marks[name]) if marks[name] > NEVER else None,
                given,
                count - given,
                sum(number for (source, _), number in letters.items() if source == name),
            )
        )
    clock = min(marks.values())
    return Status(
        as_text(clock) if clock > NEVER else None,
        replay.since,
        replay.until,
        min(max((clock - replay.start) / max(replay.end - replay.start, 1), 0.0), 1.0),
        ended,
        problem,
        tuple(sources),
    )
