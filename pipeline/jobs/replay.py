"""The proof: recorded events through the streaming job, requests read on the way and compared with the batch job."""

import dataclasses
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
from pydantic import ValidationError

from modules.kernel.bits import bits
from modules.kernel.explain import Counted
from modules.kernel.plan import Entity, named_sources
from modules.live import entities
from modules.spec import Declaration, InputError
from modules.spec.duration import micros, written
from pipeline.engines.engine import LOCAL, Engine
from pipeline.ingest.files import InputFile
from pipeline.jobs.backfill import backfill
from pipeline.jobs.explain import asked_columns
from pipeline.jobs.stream import stream
from pipeline.live.columns import event_columns, request_columns
from pipeline.live.history import event_files
from pipeline.live.pacing import Paced, Pacer, pace
from pipeline.live.place import Place
from pipeline.live.reader import FeatureReader, LiveValue, Status
from pipeline.sources.recorded import LONGEST, Recorded, RecordedOptions
from pipeline.stores.urls import drop_namespace

PATIENCE_S = 60.0
"""For how long the store may be away: a stream waits for it as long as it takes, a comparison has an end."""
_FIRST = 10
"""How many differences are kept."""
_INSPECTED = 3
"""Of how many of them the rows are looked at."""
_PAUSES = 4
"""At how many pauses a request is read: in the half look-back before its time, when some of it may be complete; in the
first and in the second half after it; and in the half after that, when it may be refused."""


@dataclasses.dataclass(frozen=True)
class Disorder:
    """What is done to the events on their way; none of it may change an answer."""

    shuffle: str = "0s"
    """How far, in ingest time, an event may be given from its place: a duration such as 5m."""
    duplicates: float = 0.0
    """The share of events that are given twice."""
    late: bool = False
    """Whether events without an ingest time of their own are taken in late, up to their source's lateness."""
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Difference:
    """One answer that differs."""

    feature: str
    key: dict[str, object]
    time: int
    """The request's, in microseconds."""
    watermark: int
    """The pause at which it was read, in microseconds of ingest time."""
    batch: float
    stream: float
    batch_bits: str
    stream_bits: str
    """16 hexadecimal digits each."""
    request: dict[str, Any]
    """The columns of the request that the feature is computed from."""
    stream_events: Counted | None
    """What the row held in the feature's window when it was read; kept of the first few."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compared:
    """What was found. A value is one feature of one request; an answer is a value that was read at a pause."""

    requests: int
    features: int
    pauses: int
    compared: int
    """Answers that were complete and not too old."""
    mismatches: int
    """Those of them of which a bit differs from the batch job's value."""
    incomplete: int
    """Answers before all of their events were merged."""
    refused: int
    """Answers that were too old."""
    never_compared: int
    """Values of which no answer was compared."""
    lookback: str | None
    """The shortest `live.lookback` with which every value can be compared, if that is longer than the declared one."""
    differences: tuple[Difference, ...]
    """The first few."""
    by_feature: dict[str, int] = dataclasses.field(default_factory=dict)
    """The mismatches by feature, where there are any."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replayed(Compared):
    """What a replay found."""

    events: dict[str, int]
    """Events by source."""


def replay(
    declaration: Declaration,
    events: Mapping[str, Sequence[str]],
    requests: str | None,
    store: str | None,
    disorder: Disorder,
    batch_events: int = 20_000,
    engine: Engine = LOCAL,
) -> Replayed:
    """Replays recorded events, and compares what the store answers with what the batch job computes, bit by bit.

    Args:
      declaration: The live features.
      events: Where each source's events are, as for `backfill`; each file is a partition of the stream.
      requests: Where the requests are; None: the events.
      store: The URL of an online store, in which a namespace is made and removed; None: a SQLite file of its own.
      disorder: What is done to the events on their way.
      batch_events: How many events are merged at once at most.
      engine: Where both jobs run: a runner whose workers are in this process.

    Raises:
      DeclarationError, InputError: What backfill or stream refuse, or a disorder that is not accepted.
      StoreUnavailable: The store was away for a minute.
      KeyboardInterrupt: SIGINT or SIGTERM came; the namespace is removed.
    """
    parts = recorded(declaration, event_files(declaration, events), disorder)
    with tempfile.TemporaryDirectory(prefix="twinbeam-replay-") as scratch:
        place = Place(store or f"sqlite://{scratch}/rows.db", f"replay-{uuid.uuid4().hex}")
        place.open().close()  # a URL that names no store is refused before the long part
        account = backfill(declaration, events, requests, Path(scratch, "batch"), engine=engine)
        comparison = _Comparison(declaration, Path(scratch, "batch"))
        try:
            comparison.run(parts, place, f"{scratch}/dead_letters", batch_events, True, engine)
        finally:
            drop_namespace(place.url, place.namespace)
        return Replayed(**vars(comparison.result()), events=account.events)


def compare(
    declaration: Declaration,
    files: Sequence[tuple[str, InputFile]],
    expected: Path,
    place: Place,
    scratch: Path,
    disorder: Disorder,
    batch_events: int = 20_000,
) -> Compared:
    """The second half of a replay: what a fresh store answers, beside values that were computed before.

    Args:
      declaration: The live features.
      files: The files of events, each with its source and a partition of the stream.
      expected: A directory of Parquet files as a backfill writes them, or of some of its rows.
      place: An empty namespace of a store, which is filled; whoever calls removes it.
      scratch: A directory for the dead letters; likewise.
      disorder: What is done to the events on their way.
      batch_events: How many events are merged at once at most.

    Raises:
      StoreUnavailable: The store was away for a minute.
    """
    comparison = _Comparison(declaration, expected)
    parts = recorded(declaration, files, disorder)
    comparison.run(parts, place, f"{scratch}/dead_letters", batch_events, False, LOCAL)
    return comparison.result()


def enough_lookback(declaration: Declaration) -> int:
    """The shortest look-back with which a replay can compare every value, in microseconds."""
    return max(_enough_lookback(entity) for entity in entities(declaration))


def recorded(
    declaration: Declaration, files: Sequence[tuple[str, InputFile]], disorder: Disorder
) -> dict[str, tuple[Recorded, ...]]:
    """The recordings of each source that features are computed from.

    Args:
      declaration: The live features.
      files: The files of events, each with its source.
      disorder: What is done to the events on their way.
    """
    assert declaration.live is not None
    kinds = entities(declaration)
    found = {}
    for source in named_sources(kinds).values():
        own_times = source.ingest_time is not None
        try:
            options = RecordedOptions(
                shuffle=disorder.shuffle,
                duplicates=disorder.duplicates,
                delay=_delay(declaration, source.name) if disorder.late and not own_times else "0s",
                seed=disorder.seed,
            )
        except ValidationError as error:
            option = str(error.errors()[0]["loc"][0])
            accepted = RecordedOptions.model_fields[option].description
            raise InputError(f"--{option} {getattr(disorder, option)}: accepted: {accepted}.") from None
        columns = event_columns(declaration, source, kinds)
        found[source.name] = tuple(
            Recorded(source.name, file.path, columns, source.time, source.ingest_time, options)
            for name, file in files
            if name == source.name
        )
    return found


def _delay(declaration: Declaration, source: str) -> str:
    """How late events of a source are taken in at most."""
    assert declaration.live is not None
    lateness = declaration.live.sources[source].lateness
    return lateness if micros(lateness) <= micros(LONGEST) else LONGEST


class _Comparison:
    """Reads requests from the store while it is filled, and compares."""

    def __init__(self, declaration: Declaration, expected: Path) -> None:
        """Reads what the batch job has written to `expected`."""
        assert declaration.time is not None
        self._declaration = declaration
        self._entities = entities(declaration)
        self._features = {feature.name: entity for entity in self._entities for feature in entity.features}
        self._lookback = max(entity.source.lookback * entity.source.tick for entity in self._entities)
        asked = dict.fromkeys(name for entity in self._entities for name in request_columns(entity))
        names = [declaration.time, *asked, *self._features]
        table = ds.dataset(expected).to_table(columns=list(dict.fromkeys(names))).sort_by(declaration.time)
        self._times = table.column(declaration.time).cast("int64").to_numpy()
        self._columns = {name: table.column(name).combine_chunks() for name in asked}
        self._batch = {name: table.column(name).to_numpy() for name in self._features}
        self._done = {name: np.zeros(len(table), bool) for name in self._features}
        self._every = max(self._lookback // 2, 1)
        halves = np.unique(self._times // self._every)
        self._pauses = np.unique(halves[:, None] + np.arange(_PAUSES)) * self._every
        self._compared = self._mismatches = self._incomplete = self._refused = 0
        self._by_feature: dict[str, int] = {}
        self._differences: list[Difference] = []

    def run(
        self,
        recorded: dict[str, tuple[Recorded, ...]],
        place: Place,
        dead_letters: str,
        batch_events: int,
        drain_on_signals: bool,
        engine: Engine,
    ) -> None:
        """Streams the events, and reads at each pause."""
        name = uuid.uuid4().hex
        sources = [Paced(source, parts, name) for source, parts in recorded.items()]
        with FeatureReader(self._declaration, place.open()) as reader:
            pacer = Pacer(
                self._pauses.tolist(), sum(map(len, recorded.values())), lambda pause: self._read(reader, pause)
            )
            pace(name, pacer)
            try:
                stream(
                    self._declaration, sources, place, dead_letters, batch_events, drain_on_signals, engine, PATIENCE_S
                )
            finally:
                pace(name, None)
        if pacer.pause is not None:
            raise KeyboardInterrupt

    def _read(self, reader: FeatureReader, pause: int) -> None:
        bounds = pause - (_PAUSES - 1) * self._every, pause + self._every
        first, stop = np.searchsorted(self._times, bounds).tolist()
        columns = {name: column.slice(first, stop - first) for name, column in self._columns.items()}
        for name, answer in reader.read(columns, self._times[first:stop]).items():
            self._compare(name, answer, first, pause, reader)

    def _compare(self, name: str, answer: LiveValue, first: int, pause: int, reader: FeatureReader) -> None:
        here = slice(first, first + len(answer.values))
        batch, too_old = self._batch[name][here], answer.status == Status.TOO_OLD
        different = answer.complete & (batch.view(np.int64) != answer.values.view(np.int64))
        self._done[name][here] |= answer.complete
        self._compared += int(answer.complete.sum())
        self._refused += int(too_old.sum())
        self._incomplete += int((~answer.complete & ~too_old).sum())
        if count := int(different.sum()):
            self._mismatches += count
            self._by_feature[name] = self._by_feature.get(name, 0) + count
        for at in np.flatnonzero(different)[: _FIRST - len(self._differences)].tolist():
            request = {each: self._columns[each][first + at].as_py() for each in asked_columns(self._declaration, name)}
            time = int(self._times[first + at])
            inspected = reader.inspect(name, request, time) if len(self._differences) < _INSPECTED else None
            self._differences.append(
                Difference(
                    feature=name,
                    key={column: request[column] for column in self._features[name].key},
                    time=time,
                    watermark=pause,
                    batch=batch[at].item(),
                    stream=answer.values[at].item(),
                    batch_bits=bits(batch[at]),
                    stream_bits=bits(answer.values[at]),
                    request=request,
                    stream_events=inspected and inspected.held.counted(inspected.tick),
                )
            )

    def result(self) -> Compared:
        """What was found."""
        enough = enough_lookback(self._declaration)
        return Compared(
            requests=len(self._times),
            features=len(self._features),
            pauses=len(self._pauses),
            compared=self._compared,
            mismatches=self._mismatches,
            incomplete=self._incomplete,
            refused=self._refused,
            never_compared=sum(int((~done).sum()) for done in self._done.values()),
            lookback=written(enough) if enough > self._lookback else None,
            differences=tuple(self._differences),
            by_feature=self._by_feature,
        )


def _enough_lookback(entity: Entity) -> int:
    """Microseconds; of a look-back so long, there is a half in which a request is complete and not yet too old."""
    source = entity.source
    wait = source.lateness + source.slack - min(feature.window.delay for feature in entity.features) * source.tick
    return -(-2 * wait // source.tick) * source.tick
