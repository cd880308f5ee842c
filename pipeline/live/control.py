"""What the process that runs the streaming job locally tells its transforms, and hears from them.

Transforms are pickled, so they find the control by the job's name. On a runner whose workers are other processes nobody
tells and nobody listens: the runner itself drains the job.
"""

import contextlib
import dataclasses
import math
import threading
from collections.abc import Iterator

from modules.spec import TwinbeamError


@dataclasses.dataclass
class Counts:
    """What a job did with events."""

    events: int = 0
    """Read."""
    merged: int = 0
    """Counted, with those that were there already."""
    duplicates: int = 0
    """How often an event was in a row already; an event has as many rows as its source has keys."""
    dead_letters: dict[str, int] = dataclasses.field(default_factory=dict)
    """Written, by reason."""


@dataclasses.dataclass
class Control:
    """One job in this process."""

    counts: Counts = dataclasses.field(default_factory=Counts)
    """What it did so far."""
    _counting: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    draining: threading.Event = dataclasses.field(default_factory=threading.Event)
    """Set: merge and acknowledge what was polled, then end."""
    finished: set[int] = dataclasses.field(default_factory=set)
    """The workers that poll no more, since their partitions have ended or the job is drained; all is acknowledged."""
    merged: set[str] = dataclasses.field(default_factory=set)
    """The sources of which something is merged."""
    patience_s: float = math.inf
    """For how long store or source may be away before the job gives up."""
    error: TwinbeamError | None = None
    """Why the job failed; a runner turns exceptions into errors of its own."""

    def count(self, more: Counts) -> None:
        """Adds what one of its workers did; they may be threads of this process."""
        with self._counting:
            self.counts.events += more.events
            self.counts.merged += more.merged
            self.counts.duplicates += more.duplicates
            for reason, letters in more.dead_letters.items():
                self.counts.dead_letters[reason] = self.counts.dead_letters.get(reason, 0) + letters

    @contextlib.contextmanager
    def hearing(self) -> Iterator[None]:
        """Keeps the error that ends the job."""
        try:
            yield
        except TwinbeamError as error:
            self.error = error
            raise


_CONTROLS: dict[str, Control] = {}


def register(job: str, patience_s: float) -> Control:
    """A new control for a job of this process."""
    _CONTROLS[job] = Control(patience_s=patience_s)
    return _CONTROLS[job]


def forget(job: str) -> None:
    """Takes a job's control away."""
    _CONTROLS.pop(job, None)


def control(job: str) -> Control:
    """The control of a job; one that says nothing where the job was not started in this process."""
    return _CONTROLS.setdefault(job, Control())
