"""Recorded events: files replayed in the order in which the log took the events in.

A directory, glob or file is read to memory at once (about what its columns take as text, 50 bytes an event, and the
lines of JSON files) and ordered. With `follow` a directory grows: its files are given one after the other, in the order
of their names, each ordered in itself, and the end never comes.
"""

import dataclasses
import datetime
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, BeforeValidator, Field

from modules.spec import InputError, Typed
from modules.spec.duration import Duration, micros
from pipeline.ingest.files import SUFFIXES, InputFile, find_files
from pipeline.sources.event_files import Recording, read_events
from pipeline.sources.giving_order import Chance, GivingOrder, giving_order
from pipeline.sources.options import Options
from pipeline.sources.source import EARLIEST, Broken, EventBatch, Partition

_NAP_S = 0.02
"""How long a poll waits that has nothing to give."""
_NEVER = np.iinfo(np.int64).max


LONGEST = "10000d"
"""Which shuffle and delay are at most."""


def _within_reach(duration: str) -> str:
    if micros(duration) > micros(LONGEST):
        raise ValueError(f"at most {LONGEST}")
    return duration


_Span = Annotated[Duration, AfterValidator(_within_reach)]
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _instant(text: str) -> int:
    time = datetime.datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("an offset")
    return (time - _EPOCH) // datetime.timedelta(microseconds=1)


class RecordedOptions(Options):
    """What is done to recorded events, after the `?` of the URL."""

    shuffle: _Span = "0s"
    """a duration such as 5m, at most 10000d: the furthest, in ingest time, that an event is given from its place"""
    duplicates: Annotated[float, Field(ge=0, le=1)] = 0.0
    """a number from 0 to 1: the share of events that are given twice"""
    delay: _Span = "0s"
    """a duration such as 10m, at most 10000d: the most that is added to the ingest time of an event"""
    seed: Annotated[int, Field(ge=0, lt=2**60)] = 0
    """a whole number from 0, from which all chance comes"""
    speed: Annotated[float, Field(gt=0)] | None = None
    """a number above 0: seconds of ingest time per second; left out: as fast as can be"""
    since: Annotated[int, BeforeValidator(_instant)] | None = None
    """a time with an offset such as 2016-03-01T00:00:00Z: what was ingested before is left out; speed counts from it"""
    follow: bool = False
    """true or false: whether to wait for more files in a directory"""

    @property
    def chance(self) -> Chance:
        return Chance(micros(self.delay), micros(self.shuffle), self.duplicates, self.seed)


@dataclasses.dataclass(frozen=True)
class Recorded:
    """An `EventSource` of files, with one partition."""

    name: str
    path: str
    """A file, a directory or a glob, of CSV, Parquet or JSON lines."""
    columns: dict[str, Typed]
    """The events' columns."""
    time: str
    """The column with the event's time."""
    ingest_time: str | None
    """The column with the time at which the log took the event in."""
    options: RecordedOptions
    files: tuple[InputFile, ...] = ()
    """The files at the path, where they are known."""

    @property
    def log(self) -> str:
        order = self.options.model_dump(exclude={"speed", "follow"}, exclude_defaults=True)
        return self._place + "".join(f", {name}={value}" for name, value in order.items())

    @property
    def _place(self) -> str:
        if not self.files:
            return f"file://{Path(self.path).absolute()}"
        paths = [file.path for file in self.files]
        digest = hashlib.sha256("\n".join(paths).encode()).hexdigest()
        return f"{paths[0]} and {len(paths) - 1} more files, {digest[:12]}" if len(paths) > 1 else paths[0]

    def partitions(self) -> list[str]:
        return ["files"]

    def open(self, partition: str, position: int) -> "RecordedPartition":
        """Opens it after the first `position` events. The files must be those of before, with `follow` maybe more."""
        return RecordedPartition(self, partition, position)


class RecordedPartition(Partition):
    """The files of a recording, in one order.

    The watermark is exact: the least ingest time that is still to come, and after the last event one microsecond past
    the last ingest time. With `follow`, it stays at the last ingest time of the files that are there, so the events of
    later files must not have been ingested before it; those that were are given all the same, and the watermark stays.
    """

    def __init__(self, source: Recorded, partition: str, position: int) -> None:
        self._source, self._partition = source, partition
        self._read_paths: set[str] = set()
        self._before = 0
        self._events, self._order = self._read([])
        self._held = np.empty(0, np.int64)
        self._pause = _NEVER
        self._watermark = EARLIEST
        self._started: tuple[float, int] | None = None
        self._clock_starts = source.options.since if position == 0 else None
        while position > self._before + len(self._order.item):
            if not self._read_next():
                raise InputError(
                    f"{source.path}: holds {self._before + len(self._order.item):,} events, but {position:,} of source "
                    f"{source.name} were read before: files are gone, or seed, duplicates or since are others. Put "
                    "them back."
                )
        self._cursor = position - self._before

    def pause_at(self, ingest_time: int | None) -> None:
        """From now on gives only events ingested before a time in microseconds; None: gives all again.

        The watermark then goes up to that time, or stays where it is if it is further. At the end of the recording,
        which may be before that time, `poll` gives None all the same. The clock of `speed` goes on.
        """
        self._pause = _NEVER if ingest_time is None else ingest_time

    def poll(self, max_events: int) -> EventBatch | None:
        """As `Partition.poll`; it never waits longer than a blink, neither for the clock of `speed` nor for new files.

        While it is paused, later events may be due before earlier ones because they are shuffled; these are held back,
        and until they are given, `position` stays before them: opened there, it gives some events again.
        """
        while self._cursor == len(self._order.item) and not len(self._held):
            if self._read_next():
                self._cursor = 0
            elif self._source.options.follow:
                time.sleep(_NAP_S)
                return self._batch(np.empty(0, np.int64), _NEVER)
            else:
                return None
        clock = self._clock()
        picked = self._pick(max_events, int(np.searchsorted(self._order.due, clock, "right")))
        if not len(picked) and clock < self._pause:
            time.sleep(_NAP_S)
        return self._batch(picked, clock)

    def acknowledge(self, batches: Sequence[EventBatch]) -> None:
        """Does nothing: who opens the partition again says after how many events."""

    def close(self) -> None:
        """Does nothing: no file stays open."""

    def _read_next(self) -> bool:
        """Goes on to the events of the next files; False if there are none."""
        files = _find(self._source, self._read_paths)
        if not files:
            return False
        following = self._read(files)
        self._before += len(self._order.item)
        self._events, self._order = following
        self._read_paths |= {file.path for file in files}
        return True

    def _read(self, files: list[InputFile]) -> tuple[Recording, GivingOrder]:
        source = self._source
        follow = source.options.follow
        events = read_events(files, source.columns, source.time, source.ingest_time, follow)
        if source.options.since is not None:
            given = events.ingest >= source.options.since
            events = dataclasses.replace(events, row=events.row[given], ingest=events.ingest[given])
        return events, giving_order(events.ingest, source.options.chance, after_last=0 if follow else 1)

    def _clock(self) -> int:
        """The ingest time that has come, in microseconds."""
        if self._source.options.speed is None:
            return _NEVER
        if self._started is None:
            first = int(self._order.due[self._cursor]) if self._clock_starts is None else self._clock_starts
            self._started = time.monotonic(), first
        began, first = self._started
        return first + int(min((time.monotonic() - began) * self._source.options.speed * 1_000_000, _NEVER / 2))

    def _pick(self, most: int, due: int) -> np.ndarray:
        """The next givings among the first `due` ones, not more than `most`; those after the pause are held back."""
        open_again = self._order.ingest[self._held] < self._pause
        open_again[np.flatnonzero(open_again)[most:]] = False
        picked = [self._held[open_again]]
        left = most - len(picked[0])
        held = [self._held[~open_again]]
        while left and self._cursor < due and self._order.least[self._cursor] < self._pause:
            next_ones = np.arange(self._cursor, min(self._cursor + left, due))
            early = self._order.ingest[next_ones] < self._pause
            picked.append(next_ones[early])
            held.append(next_ones[~early])
            left -= len(picked[-1])
            self._cursor += len(next_ones)
        self._held = np.concatenate(held)
        return np.concatenate(picked)

    def _batch(self, picked: np.ndarray, clock: int) -> EventBatch:
        source, order, events = self._source, self._order, self._events
        to_come = min(int(order.least[self._cursor]), int(order.ingest[self._held].min(initial=_NEVER)))
        self._watermark = max(self._watermark, min(to_come, self._pause, clock))
        row, ingest = events.row[order.item[picked]], order.ingest[picked]
        whole = row >= 0
        rows = pa.array(row[whole])
        return EventBatch(
            source=source.name,
            partition=self._partition,
            rows=events.rows.take(rows),
            ingest=ingest[whole] if source.ingest_time or source.options.chance.delay else None,
            payloads=tuple(events.payloads.take(rows).to_pylist()) if events.payloads is not None else None,
            broken=tuple(
                Broken(*events.broken[-1 - int(at)], int(when))
                for at, when in zip(row[~whole], ingest[~whole], strict=True)
            ),
            watermark=self._watermark,
            position=self._before + int(self._held.min(initial=self._cursor)),
        )


def _find(source: Recorded, read: set[str]) -> list[InputFile]:
    """The files to read next: all at once, or the next one of a growing directory."""
    if not source.options.follow:
        return [] if read else list(source.files) or find_files(source.path, named="--source [SOURCE=]URL")
    directory = Path(source.path)
    if not directory.is_dir():
        raise InputError(f"{source.path}: with follow=true a directory is read; there is none. Make it, or correct it.")
    new = []
    for path in directory.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
        if str(path) not in read and not hidden and path.suffix in SUFFIXES and path.is_file() and path.stat().st_size:
            new.append(str(path))
    if not new:
        return []
    first = min(new)
    if read and first < max(read):
        raise InputError(
            f"{first}: came after {max(read)} was read, which sorts behind it; events could be lost at a restart. "
            "Rename it so that it sorts last."
        )
    return [InputFile(first, SUFFIXES[Path(first).suffix])]
