"""The streaming job: sources -> parse and validate -> merge into online rows -> acknowledge."""

import dataclasses
import functools
import gc
import math
import signal
import threading
import time
import types
import uuid
from collections.abc import Callable, Mapping, Sequence

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

from modules.kernel.plan import named_sources
from modules.live import entities
from modules.spec import Declaration, DeclarationError, InputError
from pipeline.dead_letters import open_dead_letters
from pipeline.engines.engine import LOCAL, Engine
from pipeline.live.bootstrap import unfinished
from pipeline.live.columns import event_columns
from pipeline.live.control import Control, Counts, forget, register
from pipeline.live.merge_events import MergeEvents
from pipeline.live.place import Place
from pipeline.live.poll_events import PollEvents
from pipeline.live.retry import patiently
from pipeline.sources.source import EventSource
from pipeline.sources.urls import open_source
from pipeline.stores.store import OnlineStore
from pipeline.stores.urls import without_password


@dataclasses.dataclass(eq=False)
class Stream(beam.PTransform):
    """PBegin -> nothing; keeps the rows of an online store fresh for as long as it runs."""

    job: str
    """The job's name, unique in this process."""
    declaration: Declaration
    sources: list[EventSource]
    place: Place
    """Where the rows are."""
    dead_letters: str
    """Where the dead letters go: a directory, or the URL of a topic."""
    batch_events: int
    """How many events are merged at once at most."""
    engine: Engine
    """Where it runs."""

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[None]:
        workers = self.engine.parallelism
        polling = PollEvents(self.job, self.place, self.sources, self.batch_events, workers, self.engine.renewed)
        return (
            begin
            | "Workers" >> beam.Create(list(range(workers)))
            | "Spread" >> beam.Reshuffle()
            | "Poll" >> beam.ParDo(polling)
            | "Merge" >> beam.ParDo(MergeEvents(self.job, self.declaration, self.place, self.dead_letters))
        )


def sources_of(declaration: Declaration, urls: Mapping[str, str]) -> list[EventSource]:
    """The sources of a declaration's live features.

    Args:
      declaration: It.
      urls: Where a source's stream is, for those where it is not where the declaration says.

    Raises:
      DeclarationError: There are no live features, or a source has no stream.
      InputError: A URL names no source of events.
    """
    live = declaration.live
    if live is None:
        raise DeclarationError(
            f"The declaration of {declaration.dataset} has no live features. Declare some in a section live."
        )
    if unknown := set(urls) - set(live.sources):
        raise DeclarationError(f"There is no source {', '.join(sorted(unknown))}; there is {', '.join(live.sources)}.")
    declared, found = entities(declaration), []
    for read in named_sources(declared).values():
        url = urls.get(read.name, live.sources[read.name].stream)
        if url is None:
            raise DeclarationError(
                f"The source {read.name} has no stream. Declare live.sources.{read.name}.stream, or give "
                f"--source {read.name}=URL."
            )
        found.append(
            open_source(read.name, url, event_columns(declaration, read, declared), read.time, read.ingest_time)
        )
    return found


def stream(
    declaration: Declaration,
    sources: Sequence[EventSource],
    place: Place,
    dead_letters: str,
    batch_events: int = 20_000,
    drain_on_signals: bool = False,
    engine: Engine = LOCAL,
    patience_s: float = math.inf,
) -> Counts:
    """Runs the streaming job until its sources end, or until it is drained.

    Args:
      declaration: The live features.
      sources: The streams of their sources.
      place: Where the rows are.
      dead_letters: Where the dead letters go.
      batch_events: How many events are merged at once at most.
      drain_on_signals: Whether SIGTERM and SIGINT end the job once what was polled is merged and acknowledged.
      engine: Where it runs.
      patience_s: For how long store or source may be away before the job gives up, where it runs in this process.

    Raises:
      InputError: What the sources hold cannot be read, or a bootstrap of the rows was begun and is not done.
      StoreUnavailable, SourceUnavailable: They were away for so long, or when the job was drained; what is not merged
        is not acknowledged.
    """
    check = functools.partial(no_bootstrap_underway, place=place)
    return run_stream(
        declaration, sources, place, dead_letters, check, batch_events, drain_on_signals, engine, patience_s
    )


def no_bootstrap_underway(store: OnlineStore, place: Place) -> None:
    """Refuses rows whose bootstrap was begun and is not done.

    Raises:
      InputError: It was.
    """
    if begun := unfinished(store):
        raise InputError(
            f"{without_password(place.url)}: the history of {', '.join(begun)} is not merged yet. Run `twinbeam "
            "bootstrap` to its end, or drop the namespace with `twinbeam store drop`; then start the stream."
        )


def run_stream(
    declaration: Declaration,
    sources: Sequence[EventSource],
    place: Place,
    dead_letters: str,
    check: Callable[[OnlineStore], None],
    batch_events: int,
    drain_on_signals: bool = False,
    engine: Engine = LOCAL,
    patience_s: float = math.inf,
) -> Counts:
    """Runs the job as `stream` does, after a check of what the store holds."""
    job = uuid.uuid4().hex
    told = register(job, patience_s)
    open_dead_letters(dead_letters).close()
    try:
        with _drained_by_signals(told, drain_on_signals):
            with place.open() as opened:
                patiently(lambda: check(opened), told)
            while not told.draining.is_set():
                _run(Stream(job, declaration, list(sources), place, dead_letters, batch_events, engine), told)
                if len(told.finished) == engine.parallelism or not engine.renewed:
                    break
                gc.collect()  # what the runner kept of its bundles refers to itself
        return told.counts
    finally:
        forget(job)


def _run(transform: Stream, told: Control) -> None:
    engine = transform.engine
    name = f"twinbeam-{transform.job}"
    options = PipelineOptions([*engine.beam_args, *engine.stream_args], job_name=name)
    pipeline = beam.Pipeline(options=options)
    pipeline | "Stream" >> transform
    result = pipeline.run()
    try:
        while engine.cancel and not PipelineState.is_terminal(result.state):
            time.sleep(0.2)
            if len(told.finished) == engine.parallelism:
                engine.cancel(name)
                _hear_no_lost_connections()
                result.cancel()
                return
        result.wait_until_finish()
    except Exception:
        if told.error is not None:
            raise told.error from None
        raise


def _hear_no_lost_connections() -> None:
    """Keeps Beam's worker threads from telling at length that the job server of a cancelled job has hung up."""
    others = threading.excepthook

    def hook(told: threading.ExceptHookArgs) -> None:
        if not issubclass(told.exc_type, grpc.RpcError):
            others(told)

    threading.excepthook = hook


class _drained_by_signals:  # noqa: N801  it reads as a verb
    """While it is entered, SIGTERM and SIGINT drain the job."""

    def __init__(self, told: Control, active: bool) -> None:
        self._told, self._active = told, active and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self._active:
            self._before = {number: signal.signal(number, self._drain) for number in (signal.SIGTERM, signal.SIGINT)}

    def __exit__(self, *_: object) -> None:
        if self._active:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _drain(self, number: int, frame: types.FrameType | None) -> None:
        self._told.draining.set()
        signal.signal(number, signal.SIG_DFL)  # the second one ends the process
