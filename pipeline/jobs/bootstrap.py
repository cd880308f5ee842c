"""Fills a store with history up to an ingest time T; the stream goes on from there, or a little before."""

from collections.abc import Mapping

from modules.live import entities
from modules.spec import Declaration, InputError
from pipeline.jobs.stream import sources_of, stream
from pipeline.live.bootstrap import History
from pipeline.live.control import Counts
from pipeline.live.merge import OnlineWriter
from pipeline.live.place import Place
from pipeline.live.watermark import HISTORY
from pipeline.sources.recorded import Recorded
from pipeline.sources.source import EventSource


def bootstrap(
    declaration: Declaration, events: Mapping[str, str], until: int | None, place: Place, dead_letters: str
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

    Raises:
      InputError: The history is not in files, or a stream runs on the store already.
    """
    assert declaration.live is not None
    urls = {
        name: f"file://{path}" if "://" not in path else path
        for name, source in declaration.live.sources.items()
        if (path := events.get(name) or source.batch or declaration.data)
    }
    histories: list[EventSource] = []
    for source in sources_of(declaration, urls):
        if not isinstance(source, Recorded):
            raise InputError(f"{source.name}: history is read from files; name them with --events {source.name}=PATH.")
        histories.append(History(source, until))
    with place.open() as opened:
        if others := [r for r in opened.registers() if r.partition != HISTORY]:
            raise InputError(
                f"A stream has written to this namespace already ({others[0].source}, {others[0].partition}): "
                "history must come first. Drop the namespace with `twinbeam store drop`, or go on with the stream."
            )
        counts = stream(declaration, histories, place, dead_letters)
        declared = entities(declaration)
        for merged in {entity.source.name: entity.source for entity in declared}.values():
            writer = OnlineWriter(merged, declared, opened)
            writer.advance(HISTORY, until if until is not None else writer.watermark, writer.position(HISTORY))
            opened.mark(f"{HISTORY}/{merged.name}", str(writer.watermark))
    return counts
