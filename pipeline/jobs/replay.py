"""The proof: recorded events through the streaming job, requests read on the way and compared with the batch job."""

import dataclasses
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from modules.kernel.plan import Entity
from modules.live import entities
from modules.spec import Declaration
from pipeline.jobs.backfill import backfill
from pipeline.jobs.stream import sources_of, stream
from pipeline.live.pacing import Paced, Pacer, pace
from pipeline.live.place import Place
from pipeline.live.reader import FeatureReader, LiveValue
from pipeline.live.schedule import pauses, readable
from pipeline.sources.recorded import Recorded, RecordedOptions
from pipeline.stores.urls import drop_namespace

_FIRST = 10
"""How many differences are kept."""


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
    """One value that differs."""

    feature: str
    key: tuple[object, ...]
    time: int
    """The request's, in microseconds."""
    batch: float
    stream: float
    batch_bits: str
    stream_bits: str
    """16 hexadecimal digits each."""


@dataclasses.dataclass(frozen=True)
class Replayed:
    """What a replay found."""

    events: dict[str, int]
    """Events by source."""
    requests: int
    features: int
    compared: int
    """Values compared: requests times features, but for those not answered."""
    mismatches: int
    incomplete: int
    """Values of requests that came before their events were all merged."""
    refused: int
    """Values of requests that were too old when their events were all merged: look-back is shorter than lateness."""
    differences: tuple[Difference, ...]
    """The first few."""


def replay(
    declaration: Declaration,
    events: Mapping[str, str],
    requests: str | None,
    store: str | None,
    disorder: Disorder,
    batch_events: int = 20_000,
) -> Replayed:
    """Replays recorded events, and compares each answered request with the batch job bit by bit.

    Args:
      declaration: The live features.
      events: Where each source's recorded events are; without one, where the declaration says.
      requests: Where the requests are; None: the events.
      store: The URL of an online store, in which a namespace is made and removed; None: a SQLite file of its own.
      disorder: What is done to the events on their way.
      batch_events: How many events are merged at once at most.
    """
    assert declaration.live is not None
    with tempfile.TemporaryDirectory(prefix="twinbeam-replay-") as scratch:
        account = backfill(
            declaration, {name: [path] for name, path in events.items()}, requests, Path(scratch, "batch")
        )
        expected = ds.dataset(Path(scratch, "batch")).to_table().combine_chunks()
        place = Place(store or f"sqlite://{scratch}/rows.db", f"replay-{uuid.uuid4().hex}")
        try:
            comparison = _Comparison(declaration, expected, place)
            comparison.run(_recorded(declaration, events, disorder), f"{scratch}/dead_letters", batch_events)
        finally:
            drop_namespace(place.url, place.namespace)
        return comparison.result(account.events)


def _recorded(declaration: Declaration, events: Mapping[str, str], disorder: Disorder) -> list[Recorded]:
    assert declaration.live is not None
    urls = {
        name: f"file://{events.get(name) or source.batch or declaration.data}"
        for name, source in declaration.live.sources.items()
    }
    found = []
    for source in sources_of(declaration, urls):
        assert isinstance(source, Recorded)
        declared = declaration.live.sources[source.name]
        delay = declared.lateness if disorder.late and declared.ingest_time is None else "0s"
        options = RecordedOptions(
            shuffle=disorder.shuffle, duplicates=disorder.duplicates, delay=delay, seed=disorder.seed
        )
        found.append(dataclasses.replace(source, options=options))
    return found


class _Comparison:
    """Reads requests while the events that they need are there, and compares."""

    def __init__(self, declaration: Declaration, expected: pa.Table, place: Place) -> None:
        self._declaration, self._expected, self._place = declaration, expected, place
        self._entities = entities(declaration)
        self._features = {feature.name: entity for entity in self._entities for feature in entity.features}
        assert declaration.time is not None
        self._times = expected.column(declaration.time).cast(pa.int64()).to_numpy()
        self._columns = {
            name: expected.column(name).combine_chunks() for name in expected.column_names if name not in self._features
        }
        self._first, self._last = readable(self._entities, self._times)
        lookback = min(entity.source.lookback * entity.source.tick for entity in self._entities)
        self._pauses, self._pause_of = pauses(self._first, self._last, max(lookback // 2, 1))
        self._compared = self._mismatches = self._incomplete = self._refused = 0
        self._differences: list[Difference] = []

    def run(self, recorded: list[Recorded], dead_letters: str, batch_events: int) -> None:
        """Streams the events, and reads at each pause."""
        self._refused += int((self._pause_of < 0).sum()) * len(self._features)
        name = uuid.uuid4().hex
        with FeatureReader(self._entities, self._place.open()) as reader:
            by_pause = np.argsort(self._pause_of, kind="stable")
            bounds = np.searchsorted(self._pause_of[by_pause], np.arange(len(self._pauses) + 1))

            def read(pause: int) -> None:
                nth = int(np.searchsorted(self._pauses, pause))
                self._compare(reader, by_pause[bounds[nth] : bounds[nth + 1]])

            pace(name, Pacer(self._pauses.tolist(), len(recorded), read))
            try:
                sources = [Paced(source, name) for source in recorded]
                stream(self._declaration, sources, self._place, dead_letters, batch_events)
            finally:
                pace(name, None)

    def _compare(self, reader: FeatureReader, at: np.ndarray) -> None:
        columns = {name: column.take(pa.array(at)) for name, column in self._columns.items()}
        answers = reader.read(columns, self._times[at])
        for name, entity in self._features.items():
            batch = self._expected.column(name).combine_chunks().take(pa.array(at)).to_numpy(zero_copy_only=False)
            self._compare_one(name, entity, at, batch, answers[name])

    def _compare_one(self, name: str, entity: Entity, at: np.ndarray, batch: np.ndarray, answer: LiveValue) -> None:
        self._incomplete += int((~answer.complete).sum())
        self._compared += int(answer.complete.sum())
        different = answer.complete & (batch.view(np.int64) != answer.values.view(np.int64))
        self._mismatches += int(different.sum())
        for index in np.flatnonzero(different)[: _FIRST - len(self._differences)].tolist():
            request = int(at[index])
            self._differences.append(
                Difference(
                    feature=name,
                    key=tuple(self._columns[column][request].as_py() for column in entity.key),
                    time=int(self._times[request]),
                    batch=batch[index].item(),
                    stream=answer.values[index].item(),
                    batch_bits=f"{batch.view(np.uint64)[index]:016x}",
                    stream_bits=f"{answer.values.view(np.uint64)[index]:016x}",
                )
            )

    def result(self, events: dict[str, int]) -> Replayed:
        """What was found."""
        return Replayed(
            events=events,
            requests=len(self._times),
            features=len(self._features),
            compared=self._compared,
            mismatches=self._mismatches,
            incomplete=self._incomplete,
            refused=self._refused,
            differences=tuple(self._differences),
        )
