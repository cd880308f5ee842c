"""Check 1: the live features that the stream gives, beside those that the model was trained on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from modules.kernel.rounding import to_example
from modules.live import entities
from modules.spec import ROW_ID, Declaration
from pipeline.ingest.files import InputFile
from pipeline.jobs import replay
from pipeline.jobs.replay import Compared, Disorder, compare, enough_lookback
from pipeline.live.columns import request_columns
from pipeline.parity.check import FIRST, Check, Difference
from pipeline.parity.sample import Sample
from pipeline.parity.tally import Tally, counts

_MOST_PAUSES = 100
"""About how often the stream stops to be read; each costs a fiftieth of a second."""
_HOUR = 3_600_000_000
NAME = "live features"


def live_features(
    declaration: Declaration,
    sample: Sample,
    values: Path,
    events: Sequence[tuple[str, InputFile]],
    store: str,
    scratch: Path,
    seed: int = 1,
) -> Check:
    """Streams the events into a fresh store, reads the sample's rows from it, and compares bits.

    At full width the answers are compared with the backfill's values, and these, rounded once, with the examples.
    Events are shuffled, given twice and taken in late, as `twinbeam replay` does.

    Args:
      declaration: The live features. Their look-back, on which no value depends, is chosen here.
      sample: The rows.
      values: What the backfill wrote.
      events: The files of events, each with its source.
      store: The URL of an empty store, which is filled as a stream of this declaration would.
      scratch: An empty directory; whoever calls removes it.
      seed: From which the disorder of the events comes.
    """
    name = declaration.id or ROW_ID
    kinds = entities(declaration)
    asked = [column for entity in kinds for column in request_columns(entity)]
    names = dict.fromkeys([name, str(declaration.time), *asked, *declaration.live_features])
    kept = ds.dataset(values).to_table(columns=list(names))
    places = sample.find(pc.cast(kept.column(name), pa.string()).combine_chunks())
    rows = np.flatnonzero(places >= 0)
    kept = kept.take(pa.array(places[rows]))
    tally = Tally(NAME, sample)
    tally.miss(len(places) - len(rows))
    for feature in declaration.live_features:
        trained_on = sample.columns[feature].take(pa.array(rows)).to_numpy(zero_copy_only=False)
        tally.compare(f"{feature} as an example", rows, to_example(kept.column(feature).to_numpy()), trained_on)
    rounded = tally.check()
    expected = scratch / "expected"
    expected.mkdir()
    pq.write_table(kept, expected / "sample.parquet")
    times = kept.column(str(declaration.time)).cast(pa.int64()).to_numpy()
    disorder = Disorder("5m", 0.05, True, seed)
    streamed = compare(_with_lookback(declaration, times), events, expected, store, scratch, disorder)
    return _together(streamed, rounded)


def _with_lookback(declaration: Declaration, times: np.ndarray) -> Declaration:
    """The declaration with a look-back that lets every value be compared, and the stream pause not too often."""
    live = declaration.live
    assert live is not None
    span = int(times.max() - times.min()) if len(times) else 0
    hours = -(-max(enough_lookback(declaration), 2 * span // _MOST_PAUSES) // _HOUR)
    return declaration.model_copy(update={"live": live.model_copy(update={"lookback": f"{max(hours, 1)}h"})})


def _together(streamed: Compared, rounded: Check) -> Check:
    words = (
        f"{streamed.compared:,} answers of the stream to {streamed.requests:,} rows compared with the backfill, "
        + (f"{streamed.mismatches:,} differ: {counts(streamed.by_feature)}" if streamed.mismatches else "none differs")
        + (f", {streamed.never_compared:,} values were never complete" if streamed.never_compared else "")
    )
    differences = (*map(_difference, streamed.differences), *rounded.differences)
    return Check(
        name=NAME,
        passed=rounded.passed and not streamed.mismatches and not streamed.never_compared and streamed.compared > 0,
        compared=streamed.compared + rounded.compared,
        differing=streamed.mismatches + rounded.differing,
        sentence=f"{words}; rounded once, beside the examples: {rounded.sentence}",
        differences=differences[:FIRST],
    )


def _difference(found: replay.Difference) -> Difference:
    return Difference(
        feature=found.feature,
        key={name: str(value) for name, value in found.key.items()},
        time=found.time,
        expected=repr(found.batch),
        found=repr(found.stream),
        expected_bits=found.batch_bits,
        found_bits=found.stream_bits,
    )
