"""Fills a store with history up to an ingest time T; the stream goes on from there, or a little before."""

import dataclasses
from collections.abc import Mapping

from modules.spec import Declaration, InputError
from pipeline.jobs.stream import run_stream, sources_of
from pipeline.live.bootstrap import History, note_done
from pipeline.live.control import Counts
from pipeline.live.place import Place
from pipeline.live.retry import patiently
from pipeline.live.watermark import HISTORY
from pipeline.sources.recorded import Recorded
from pipeline.sources.source import EventSource
from pipeline.stores.store import OnlineStore


def bootstrap(
    declaration: Declaration,
    events: Mapping[str, str],
    until: int | None,
    place: Place,
    dead_letters: str,
    batch_events: int = 20_000,
) -> Counts:
    """Merges recorded events that were ingested before `until`; slots stay open as if the watermark were there.

    Killed and started again with the same events and time, it goes on where it was. What the stream then gives again is
    recognised. A mark is set last.

    Args:
      declaration: The live features.
      events: The URL or path of each source's history; without one, what the declaration says.
      until: Ingest time in microseconds; None: one microsecond past the last event.
      place: Where the rows are.
      dead_letters: Where the dead letters go.
      batch_events: How many events are merged at once at most.

    Raises:
      InputError: The history is not in files, or a stream has written to the rows already.
    """
    urls = {
        name: f"file://{path}" if "://" not in path else path
        for name, source in (declaration.live.sources if declaration.live else {}).items()
        if (path := events.get(name) or source.batch or declaration.data)
    }
    histories: list[EventSource] = []
    for source in sources_of(declaration, urls):
        if not isinstance(source, Recorded):
            raise InputError(f"{source.name}: history is read from files; name them with --events {source.name}=PATH.")
        histories.append(History(source, until))
    counts = run_stream(declaration, histories, place, dead_letters, _check, batch_events)
    with place.open() as opened:
        patiently(lambda: _finish(opened, until))
    return counts


def _check(opened: OnlineStore) -> None:
    if others := [register for register in opened.registers() if register.partition != HISTORY]:
        raise InputError(
            f"A stream has written to this namespace already ({others[0].source}, {others[0].partition}): "
            "history must come first. Drop the namespace with `twinbeam store drop`, or go on with the stream."
        )


def _finish(opened: OnlineStore, until: int | None) -> None:
    for merged in opened.registers():
        done = merged.watermark if until is None else max(until, merged.watermark)
        opened.advance([dataclasses.replace(merged, watermark=done)])
        note_done(opened, merged.source, done)
