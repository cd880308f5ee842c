"""Check 1: the live features that the stream gives, beside those that the model was trained on."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modules.kernel.rounding import to_example
from modules.spec import ROW_ID, Declaration
from pipeline.ingest.files import InputFile
from pipeline.jobs import replay
from pipeline.jobs.explain import asked_columns, explain
from pipeline.jobs.named_value import command
from pipeline.jobs.replay import Compared, Disorder, compare, enough_lookback
from pipeline.live.place import Place
from pipeline.parity.check import FIRST, Check, Difference
from pipeline.parity.kept import Kept
from pipeline.parity.sample import Sample
from pipeline.parity.tally import Tally, counts

_MOST_PAUSES = 100
"""About how often the stream stops to be read; each costs a fiftieth of a second."""
_EXPLAINED = 3
"""Of how many differences the events are looked for."""
_AS_EXAMPLE = " as an example"
_HOUR = 3_600_000_000
NAME = "live features"


def live_features(
    declaration: Declaration,
    sample: Sample,
    kept: Kept,
    events: Sequence[tuple[str, InputFile]],
    place: Place,
    scratch: Path,
    seed: int = 1,
) -> Check:
    """Streams the events into a fresh store, reads the sample's rows from it, and compares bits.

    At full width the answers are compared with the backfill's values, and these, rounded once, with the examples.
    Events are shuffled, given twice and taken in late, as `twinbeam replay` does.

    Args:
      declaration: The live features. Their look-back, on which no value depends, is chosen here.
      sample: The rows.
      kept: The same rows with the backfill's values.
      events: The files of events, each with its source.
      place: An empty namespace of a store, which is filled as a stream of this declaration would.
      scratch: An empty directory; whoever calls removes it.
      seed: From which the disorder of the events comes.
    """
    tally = Tally(NAME, sample)
    tally.miss(kept.missing)
    for feature in declaration.live_features:
        trained_on = sample.columns[feature].take(pa.array(kept.rows)).to_numpy(zero_copy_only=False)
        rounded_once = to_example(kept.table.column(feature).to_numpy())
        tally.compare(feature + _AS_EXAMPLE, kept.rows, rounded_once, trained_on)
    rounded = tally.check()
    expected = scratch / "expected"
    expected.mkdir()
    pq.write_table(kept.table, expected / "sample.parquet")
    disorder = Disorder("5m", 0.05, True, seed)
    streamed = compare(_with_lookback(declaration, kept.times), events, expected, place, scratch, disorder)
    differences = (
        *(_difference(declaration, events, each, at) for at, each in enumerate(streamed.differences)),
        *(_rounded_difference(declaration, kept, each) for each in rounded.differences),
    )
    return _together(streamed, rounded, differences)


def _with_lookback(declaration: Declaration, times: np.ndarray) -> Declaration:
    """The declaration with a look-back that lets every value be compared, and the stream pause not too often."""
    live = declaration.live
    assert live is not None
    span = int(times.max() - times.min()) if len(times) else 0
    hours = -(-max(enough_lookback(declaration), 2 * span // _MOST_PAUSES) // _HOUR)
    return declaration.model_copy(update={"live": live.model_copy(update={"lookback": f"{max(hours, 1)}h"})})


def _together(streamed: Compared, rounded: Check, differences: tuple[Difference, ...]) -> Check:
    words = (
        f"{streamed.compared:,} answers of the stream to {streamed.requests:,} rows compared with the backfill, "
        + (f"{streamed.mismatches:,} differ: {counts(streamed.by_feature)}" if streamed.mismatches else "none differs")
        + (f", {streamed.never_compared:,} values were never complete" if streamed.never_compared else "")
    )
    return Check(
        name=NAME,
        passed=rounded.passed and not streamed.mismatches and not streamed.never_compared and streamed.compared > 0,
        compared=streamed.compared + rounded.compared,
        differing=streamed.mismatches + rounded.differing,
        sentence=f"{words}; rounded once, beside the examples: {rounded.sentence}",
        differences=differences[:FIRST],
    )


def _difference(
    declaration: Declaration, events: Sequence[tuple[str, InputFile]], found: replay.Difference, at: int
) -> Difference:
    """A difference of the stream; of the first few the events are looked for."""
    explained = explain(declaration, found.feature, found.request, found.time, events) if at < _EXPLAINED else None
    return Difference(
        feature=found.feature,
        key={name: str(value) for name, value in found.key.items()},
        time=found.time,
        expected=repr(found.batch),
        found=repr(found.stream),
        expected_bits=found.batch_bits,
        found_bits=found.stream_bits,
        expected_events=explained.counted if explained else None,
        found_events=found.stream_events,
        explain=command(found.feature, found.request, found.time),
    )


def _rounded_difference(declaration: Declaration, kept: Kept, found: Difference) -> Difference:
    """A difference of the examples, with the command that shows what the value at full width is made from."""
    feature = found.feature.removesuffix(_AS_EXAMPLE)
    ids = pc.cast(kept.table.column(declaration.id or ROW_ID), pa.string())
    [row] = kept.table.filter(pc.equal(ids, found.key["row_id"])).to_pylist()
    assert found.time is not None
    request = {column: row[column] for column in asked_columns(declaration, feature)}
    return dataclasses.replace(found, explain=command(feature, request, found.time))
