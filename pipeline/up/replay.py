"""What is replayed: the recorded events from the start of the evaluation part of the rows on."""

import dataclasses
import datetime
from typing import Self
from urllib.parse import quote

import numpy as np

from modules.spec import Declaration, DeclarationError, Typed
from pipeline.ingest.files import find_files
from pipeline.ingest.rows import time_cuts
from pipeline.sources.event_files import read_events

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True)
class Replay:
    """Recorded events, given as a live stream."""

    speed: float
    """Seconds of ingest time per second, above 0."""
    start: int
    """Ingest time in microseconds. The store holds what was ingested before it when the replay begins."""
    end: int
    """The ingest time of the last event of the source that ends first; the least of the watermarks comes no further."""
    events: dict[str, int]
    """How many events are replayed, by source."""
    paths: dict[str, str]
    """Where they are recorded, by source."""

    @classmethod
    def of(cls, declaration: Declaration, speed: float) -> Self:
        """The events of the evaluation part.

        It begins where `split` puts it. For rows that are not split by time, the same share of them is taken by time.

        Raises:
          DeclarationError: There are no live features.
          InputError: A file of rows or events cannot be read as declared.
        """
        live, time = declaration.live, declaration.time
        if live is None or time is None:
            raise DeclarationError(
                f"The declaration of {declaration.dataset} has no live features, so there is nothing to replay. "
                "Declare some in a section live."
            )
        rows = _ingest_times(declaration.data, declaration.spans, {time: declaration.columns[time]}, time, None)
        _, start = time_cuts(*np.unique(rows, return_counts=True), declaration.split)
        events, paths, ends = {}, {}, []
        for name, source in live.sources.items():
            paths[name] = source.batch or declaration.data
            columns = live.columns(name, declaration.columns)
            needed = {column: columns[column] for column in (source.time, source.ingest_time) if column is not None}
            times = _ingest_times(paths[name], declaration.spans, needed, source.time, source.ingest_time)
            times = times[times >= start]
            events[name] = len(times)
            ends.append(int(times.max(initial=start)))
        return cls(speed, start, min(ends), events, paths)

    @property
    def since(self) -> str:
        """The start, RFC 3339."""
        return as_text(self.start)

    @property
    def until(self) -> str:
        """The end, RFC 3339."""
        return as_text(self.end)

    def url(self, source: str) -> str:
        """The URL of a source's stream."""
        path = quote(self.paths[source], safe="/:*")
        return f"file://{path}?speed={self.speed!r}&since={self.since}"

    def __str__(self) -> str:
        count, minutes = max(self.events.values()), (self.end - self.start) / 60e6 / self.speed
        return f"{count:,} events from {self.since} to {self.until}, in {minutes:,.0f} min"


def as_text(micros: int) -> str:
    """A time in microseconds, as RFC 3339 writes it.

    >>> as_text(1_456_790_400_000_000)
    '2016-03-01T00:00:00Z'
    """
    return (EPOCH + datetime.timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


def _ingest_times(data: str, spans: int, columns: dict[str, Typed], time: str, ingest_time: str | None) -> np.ndarray:
    """int64, shape (items,): microseconds."""
    return read_events(find_files(data, spans, named="--features FILE"), columns, time, ingest_time, False).ingest
