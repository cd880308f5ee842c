"""Fills a store with history up to an ingest time T; the stream goes on from there, or a little before."""

import dataclasses
from collections.abc import Mapping, Sequence

from modules.kernel.plan import named_sources
from modules.live import entities
from modules.spec import Declaration, InputError
from pipeline.jobs.stream import run_stream
from pipeline.live.bootstrap import History, note_done
from pipeline.live.columns import event_columns
from pipeline.live.control import Counts
from pipeline.live.history import event_files
from pipeline.live.place import Place
from pipeline.live.retry import patiently
from pipeline.live.watermark import HISTORY
from pipeline.sources.recorded import Recorded, RecordedOptions
from pipeline.sources.source import EventSource
from pipeline.stores.store import OnlineStore


def bootstrap(
    declaration: Declaration,
    events: Mapping[str, Sequence[str]],
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
      events: Where each source's history is, as for `backfill`.
      until: Ingest time in microseconds; None: one microsecond past the last event.
      place: Where the rows are.
      dead_letters: Where the dead letters go.
      batch_events: How many events are merged at once at most.

    Raises:
      DeclarationError: There are no live features.
      InputError: There is no history, its files cannot be read, another was begun, or a stream has written to the rows.
    """
    kinds, files = entities(declaration), event_files(declaration, events)
    histories: list[EventSource] = []
    for source in named_sources(kinds).values():
        mine = tuple(file for name, file in files if name == source.name)
        columns = event_columns(declaration, source, kinds)
        where = ", ".join(events.get(source.name, ())) or mine[0].path
        recorded = Recorded(source.name, where, columns, source.time, source.ingest_time, RecordedOptions(), files=mine)
        histories.append(History(recorded, until))
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
