"""The streaming job on Dataflow: Pub/Sub -> shards of keys -> merge into online rows; and its end."""

import dataclasses
import uuid
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.io.gcp.pubsub import ReadFromPubSub
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from google.api_core.exceptions import GoogleAPICallError

from modules.spec import Declaration, InputError
from pipeline.jobs.stream import no_bootstrap_underway
from pipeline.live.logs import keep_to_log
from pipeline.live.place import Place
from pipeline.live.shards import ADVANCE_EVERY_S, MergeMessages, may_advance
from pipeline.sources.pubsub import PubSub, PubSubOptions
from pipeline.sources.source import EventSource


@dataclasses.dataclass(eq=False)
class StreamOnDataflow(beam.PTransform):
    """PBegin -> nothing; keeps the rows of an online store fresh for as long as it runs.

    Steps keep their names and coders from release to release, for a running job is updated by them.
    """

    job: str
    """What this job calls itself; see `may_advance`."""
    name: str
    """The job's name on Dataflow."""
    declaration: Declaration
    sources: list[PubSub]
    place: Place
    """Where the rows are."""
    dead_letters: str
    """The URL of a topic."""
    shards: int
    """Into how many parts each entity's keys are split."""
    batch_events: int
    """How many events are merged at once at most."""

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[None]:
        ticks = begin | "Ticks" >> PeriodicImpulse(fire_interval=ADVANCE_EVERY_S)
        done = []
        for source in self.sources:
            messages = begin | f"Read {source.name}" >> ReadFromPubSub(subscription=source.path, with_attributes=True)
            merging = MergeMessages(
                self.job, self.name, source, self.declaration, self.place, self.dead_letters, self.shards,
                self.batch_events,
            )  # fmt: skip
            done.append((messages, ticks) | f"Merge {source.name}" >> merging)
        return done | "All" >> beam.Flatten()


def freeze(place: Place, name: str) -> None:
    """Keeps the registers where they are, whatever a job of this name says from now on; before it is drained.

    Raises:
      StoreUnavailable: The store is away.
    """
    with place.open() as store:
        store.mark(may_advance(name), "")


def submit(
    declaration: Declaration,
    sources: Sequence[EventSource],
    place: Place,
    dead_letters: str,
    shards: int,
    batch_events: int,
    beam_args: Sequence[str],
) -> str | None:
    """Hands the streaming job to Dataflow, and does not wait for it.

    Args:
      declaration: The live features.
      sources: The streams of their sources: subscriptions of Pub/Sub.
      place: Where the rows are; this machine must reach it too.
      dead_letters: The URL of a topic.
      shards: Into how many parts each entity's keys are split.
      batch_events: How many events are merged at once at most.
      beam_args: Beam's arguments, the job's name among them; with `--update` the running job of that name is replaced.

    Returns:
      The job's id; None if only a template was written.

    Raises:
      InputError: A source, store or dead-letter place cannot be reached by workers, or a bootstrap is not done.
      StoreUnavailable: The store is away.
    """
    subscriptions = _subscriptions(sources)
    if place.url.startswith("sqlite://"):
        raise InputError(f"--store {place.url}: workers do not reach it; accepted: redis://, rediss:// or bigtable://.")
    if "://" not in dead_letters or dead_letters.startswith("file://"):
        raise InputError(f"--dead-letters {dead_letters}: workers do not reach it; accepted: pubsub://PROJECT/TOPIC.")
    options = PipelineOptions(list(beam_args))
    cloud = options.view_as(GoogleCloudOptions)
    mark = may_advance(cloud.job_name)
    with place.open() as store:
        no_bootstrap_underway(store, place)
        for source in subscriptions:
            keep_to_log(store, source.name, source.log)
        before = store.marks().get(mark, "")
        job = before if before and cloud.update else uuid.uuid4().hex
        transform = StreamOnDataflow(
            job, cloud.job_name, declaration, subscriptions, place, dead_letters, shards, batch_events
        )
        pipeline = beam.Pipeline(options=options)
        pipeline | "Stream" >> transform
        store.mark(mark, job)
        try:
            result = pipeline.run()
        except BaseException as error:
            store.mark(mark, before)
            if isinstance(error, GoogleAPICallError):
                raise InputError(f"Dataflow refuses the job {cloud.job_name}: {error.message}") from None
            raise
    return result.job_id() if result.has_job else None


def _subscriptions(sources: Sequence[EventSource]) -> list[PubSub]:
    found = []
    for source in sources:
        if not isinstance(source, PubSub):
            raise InputError(f"--source {source.name}: on Dataflow, accepted: pubsub://PROJECT/SUBSCRIPTION.")
        if source.options != PubSubOptions():
            raise InputError(
                f"--source {source.name}: the option lease is Dataflow's own business there. Leave it out."
            )
        found.append(source)
    return found
