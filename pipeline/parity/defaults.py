"""Check 5: where something is missing, serving makes the inputs that the model would have been trained on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modules.kernel.plan import Entity, named_sources
from modules.kernel.take import Columns, ingest_times
from modules.live import entities
from modules.made_with import raw_schema, saved_graph
from modules.spec import Declaration
from pipeline.ingest.examples import as_examples, example_types
from pipeline.ingest.files import InputFile
from pipeline.jobs.backfill import backfill
from pipeline.jobs.replay import Disorder, recorded
from pipeline.jobs.stream import stream
from pipeline.live.columns import request_columns
from pipeline.live.reader import FeatureReader, Status
from pipeline.live.requests import canonical
from pipeline.parity.check import Check
from pipeline.parity.exported import Exported
from pipeline.parity.few_events import as_table, few_events, write_events
from pipeline.parity.kept import Kept
from pipeline.parity.private_store import private_store
from pipeline.parity.probes import Probe, probes
from pipeline.parity.sample import Sample
from pipeline.parity.seen import Seen
from pipeline.parity.tally import Tally
from pipeline.serving.inputs import input_dtypes, model_inputs
from pipeline.transform_graph import TransformGraph, form_of

NAME = "defaults"
_ROWS = 16
"""How many rows of the sample each case is made of."""
_SIGNATURE = "transform_features"
_HOUR = 3_600_000_000


def defaults(
    declaration: Declaration,
    sample: Sample,
    kept: Kept | None,
    seen: Sequence[Seen],
    transform_graph: Path,
    model: Exported,
    scratch: Path,
) -> Check | None:
    """Compares the model's inputs for requests in which something is missing.

    On training's side the backfill, the one rounding, and the graph as Transform has written it; on serving's the
    streaming job, the reader, and `transform_features` of the exported model. The events are some of those that the
    rows see, and the same ones again with nulls for values.

    Args:
      declaration: The features.
      sample: The rows.
      kept: The same rows with all columns of the dataset; None without live features.
      seen: The events that they may see, by entity.
      transform_graph: Transform's directory.
      model: The exported model.
      scratch: An empty directory; whoever calls removes it.

    Returns:
      None if nothing can be missing, no feature being live and none optional, or there is no row.
    """
    kinds = entities(declaration)
    few = np.arange(len(sample.ids))[:_ROWS] if kept is None else kept.rows[:_ROWS]
    if not len(few):
        return None
    columns = _columns(declaration, sample, kept, len(few))
    events = few_events(declaration, kinds, seen, len(few))
    times = np.zeros(len(few), np.int64) if kept is None else kept.times[: len(few)]
    cases = list(probes(declaration, kinds, columns, times, _latest(kinds, events)))
    if not cases:
        return None
    every = pa.concat_tables(pa.table({**case.columns, **_time(declaration, case)}) for case in cases)
    trained, served = every, every
    rows = pa.array(few)
    tally = Tally(NAME, Sample(sample.ids.take(rows), {}, None if sample.times is None else sample.times.take(rows)))
    if kept is not None:
        files = write_events(declaration, kinds, events, scratch)
        trained = _backfilled(declaration, every, files, scratch)
        served, old = _answered(declaration, kinds, every, events, files, scratch)
        tally.miss(old)
    graph = TransformGraph(saved_graph(transform_graph), form_of(raw_schema(transform_graph), declaration))
    types = {name: kind for name, kind in example_types(declaration).items() if name in declaration.features}
    for number, case in enumerate(cases):
        right, asked = (table.slice(number * len(few), len(few)).combine_chunks() for table in (trained, served))
        expected = graph.inputs(as_examples({name: right.column(name).chunk(0) for name in types}, types))
        given = {name: asked.column(name).chunk(0) for name in types if name not in case.left_out}
        found = model.call(_SIGNATURE, model_inputs(given, input_dtypes(declaration)))
        for name in declaration.features:
            one, other = (inputs[name].reshape(len(few), -1) for inputs in (expected, found))
            tally.compare(f"{name} of {case.case}", np.arange(len(few)), one, other)
    return tally.check()


def _columns(declaration: Declaration, sample: Sample, kept: Kept | None, rows: int) -> Columns:
    """The first rows with the dataset's columns in their canonical types, or without live features the model's."""
    if kept is not None:
        found = {name: kept.table.column(name).combine_chunks() for name in declaration.columns}
    else:
        found = {name: sample.columns[name] for name in declaration.features}
    return {
        name: _canonical(values.slice(0, rows), canonical(declaration.columns[name])) for name, values in found.items()
    }


def _canonical(values: pa.Array, kind: pa.DataType) -> pa.Array:
    return (
        pc.cast(pc.cast(values, pa.binary()), kind) if pa.types.is_large_binary(values.type) else pc.cast(values, kind)
    )


def _time(declaration: Declaration, case: Probe) -> Mapping[str, pa.Array]:
    return {declaration.time: pa.array(case.times)} if declaration.time in case.columns else {}


def _latest(kinds: tuple[Entity, ...], events: Mapping[str, Columns]) -> int:
    """The last time of an event, in microseconds."""
    times = [events[name][source.time].to_numpy() for name, source in named_sources(kinds).items()]
    return int(max((each.max() for each in times if len(each)), default=0))


def _backfilled(
    declaration: Declaration, requests: pa.Table, files: Sequence[tuple[str, InputFile]], scratch: Path
) -> pa.Table:
    """The requests with the live features that the backfill gives them."""
    path, output = scratch / "requests.parquet", scratch / "backfill"
    columns = {name: requests.column(name).combine_chunks() for name in declaration.columns}
    pq.write_table(as_table(columns, declaration.columns), path)
    backfill(declaration, {source: [file.path] for source, file in files}, str(path), output)
    [written] = output.glob("*.parquet")
    values = pq.read_table(written)
    for name in declaration.live_features:
        requests = requests.append_column(name, values.column(name))
    return requests


def _answered(
    declaration: Declaration,
    kinds: tuple[Entity, ...],
    requests: pa.Table,
    events: Mapping[str, Columns],
    files: Sequence[tuple[str, InputFile]],
    scratch: Path,
) -> tuple[pa.Table, int]:
    """The requests with what the reader answers once the events are streamed; and how many it refuses as too old."""
    live = declaration.live
    assert live is not None
    times = requests.column(str(declaration.time)).to_numpy()
    taken_in = [ingest_times(s, events[name]).max(initial=times.min()) for name, s in named_sources(kinds).items()]
    hours = (max(taken_in) - times.min()) // _HOUR + 2
    answering = declaration.model_copy(update={"live": live.model_copy(update={"lookback": f"{hours}h"})})
    sources = [part for parts in recorded(answering, files, Disorder()).values() for part in parts]
    asked = dict.fromkeys(name for entity in kinds for name in request_columns(entity))
    with private_store(declaration, scratch) as store:
        place = store.place(declaration)
        stream(answering, sources, place, f"{scratch}/dead_letters")
        with FeatureReader(answering, place.open()) as reader:
            answers = reader.read({name: requests.column(name).combine_chunks() for name in asked}, times)
    for name in declaration.live_features:
        requests = requests.append_column(name, pa.array(answers[name].values))
    return requests, int(np.any([each.status == Status.TOO_OLD for each in answers.values()], axis=0).sum())
