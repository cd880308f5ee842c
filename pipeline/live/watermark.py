"""How far a source is merged, from the registers of its partitions."""

from collections.abc import Iterable

from modules.kernel.window import NEVER
from pipeline.stores.store import Register

HISTORY = "history"
"""The partition of a bootstrap. It holds all that the source was given before its watermark, in whatever partition."""


def source_watermark(source: str, registers: Iterable[Register]) -> int:
    """Ingest time in microseconds: everything that the source was given before it is merged; NEVER if nothing is known.

    It is the least of the partitions' watermarks, or that of the history if that is further.
    """
    mine = {r.partition: r.watermark for r in registers if r.source == source}
    history = mine.pop(HISTORY, NEVER)
    return max(history, min(mine.values(), default=NEVER))
