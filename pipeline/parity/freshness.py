"""Check 2: what a delay promises. While the stream lags by no more than `delay - lateness`, no value changes."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from modules.kernel import row
from modules.kernel.answer import Answer, Requests, answer
from modules.kernel.plan import Entity
from modules.kernel.take import ingest_times
from modules.kernel.window import slots_of
from modules.spec import Declaration
from pipeline.live.columns import included_columns
from pipeline.parity.check import Check
from pipeline.parity.kept import Kept
from pipeline.parity.sample import Sample
from pipeline.parity.seen import Seen
from pipeline.parity.tally import Tally

NAME = "freshness"
_MOST_EVENTS = 1 << 22
"""From how many events all requests of one entity and delay are answered; each sees an event for itself."""
_AT_ONCE = 1 << 18


def freshness(declaration: Declaration, sample: Sample, kept: Kept, seen: Sequence[Seen]) -> Check | None:
    """Withholds what a stream that lags would not have, and compares bits with the backfill's values.

    For a request at `t` and a feature with `delay >= lateness`, these are the events with an event time of `t - delay`
    or later, and those that were ingested at `t - (delay - lateness)` or later.

    Args:
      declaration: The live features.
      sample: The rows.
      kept: The same rows with the backfill's values.
      seen: The events that they may see, by entity.

    Returns:
      None if no feature has such a delay.
    """
    tally = Tally(NAME, sample)
    promised = False
    for each in seen:
        for delay, features in _promises(declaration, each.entity).items():
            promised, left = True, len(kept.times)
            for at, answers in _answers(each, delay, kept):
                left -= len(at)
                for name in features:
                    expected = kept.table.column(name).to_numpy()[at]
                    tally.compare(name, kept.rows[at], expected, answers[name].values)
            tally.leave_out(left * len(features))
    return tally.check() if promised else None


def _promises(declaration: Declaration, entity: Entity) -> dict[int, list[str]]:
    """The features of an entity whose delay is a promise, by the delay in microseconds."""
    live = declaration.live
    assert live is not None
    found: dict[int, list[str]] = {}
    for feature in entity.features:
        if feature.window.delay and live.may_lag(feature.name) is not None:
            found.setdefault(feature.window.delay * entity.source.tick, []).append(feature.name)
    return found


def _answers(seen: Seen, delay: int, kept: Kept) -> Iterator[tuple[np.ndarray, dict[str, Answer]]]:
    """All features as of requests, each of which is a key of its own that has only the events that are not withheld.

    Args:
      seen: The entity and its events.
      delay: For which they are withheld, in microseconds.
      kept: The requests.

    Yields:
      Which requests, int64; and their answers.
    """
    entity, events, tick = seen.entity, seen.events, seen.entity.source.tick
    slots, until = slots_of(kept.times, tick), kept.times - delay
    order = np.lexsort((events.times, seen.owners))
    instants = np.unique(events.times)
    width = len(instants) + 1
    places = (seen.owners * width + instants.searchsorted(events.times))[order]
    first, last = (
        places.searchsorted(seen.askers * width + instants.searchsorted(bound))
        for bound in ((slots - entity.reach) * tick, until)
    )
    lengths = np.where(seen.askers < 0, 0, np.maximum(last - first, 0))
    ingest = ingest_times(entity.source, events.columns)
    included = {name: kept.table.column(name).combine_chunks() for name in included_columns(entity)}
    for at in _chunks(lengths):
        whose = np.repeat(np.arange(len(at)), lengths[at])
        offsets = np.arange(len(whose)) - np.repeat(np.cumsum(lengths[at]) - lengths[at], lengths[at])
        theirs = order[np.repeat(first[at], lengths[at]) + offsets]
        there = ingest[theirs] < (until[at] + entity.source.lateness)[whose]
        cells, marks, _ = row.history(entity, events.where(theirs[there]), whose[there])
        owners = np.where(seen.askers[at] < 0, -1, np.arange(len(at)))
        columns = {name: values.take(pa.array(at)) for name, values in included.items()}
        yield at, answer(entity, cells, marks, Requests(owners, slots[at], columns)).by_name()


def _chunks(lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Numbers of requests, in an order by chance, of at least one and of few events together, until there were many."""
    left = np.random.default_rng(1).permutation(len(lengths))
    left = left[: max(1, int(np.cumsum(lengths[left]).searchsorted(_MOST_EVENTS, "right")))]
    while len(left):
        upto = max(1, int(np.cumsum(lengths[left]).searchsorted(_AT_ONCE, "right")))
        yield left[:upto]
        left = left[upto:]
