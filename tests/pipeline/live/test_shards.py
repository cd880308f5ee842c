"""The streaming job's steps where the runner brings the messages, on the local runner."""

import collections
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms import window
from google.cloud import pubsub_v1

from modules.kernel.window import NEVER
from modules.spec import Declaration
from pipeline.dead_letters import LetterDirectory
from pipeline.jobs.stream import sources_of
from pipeline.live.place import Place
from pipeline.live.shards import ADVANCE_EVERY_S, AdvanceRegister, MergeMessages, ShardMessages, may_advance
from pipeline.sources.pubsub import PubSub
from pipeline.sources.source import EventSource
from pipeline.stores.store import Register
from tests.pipeline.live.conftest import declaration, here, wanted
from tests.pipeline.live.rides import BEGIN, BROKEN, SECOND, Event, Rows, merged, payments, rides, spoilt

__all__ = ["declaration", "here", "wanted"]
STREAMS = {"rides": "pubsub://project/rides", "payments": "pubsub://project/payments"}


def message(payload: bytes, published: int) -> bytes:
    """A message as Dataflow hands it to Beam."""
    seconds, micros = divmod(published, SECOND)
    sent = pubsub_v1.types.PubsubMessage(data=payload, publish_time={"seconds": seconds, "nanos": micros * 1000})
    return bytes(pubsub_v1.types.PubsubMessage.serialize(sent))


def messages(events: Sequence[Event]) -> list[tuple[bytes, int]]:
    """Events in any order, one in ten of them twice, each with its time of publishing."""
    found = [(message(json.dumps(event).encode(), event["taken_in"]), event["taken_in"]) for event in events]
    found += found[::10]
    random.Random(1).shuffle(found)
    return found


def run(
    declaration: Declaration, place: Place, dead_letters: Path, given: Mapping[str, list[tuple[bytes, int]]], job: str
) -> None:
    """Runs the job over messages in pieces of 40, with a tick at the time of the last."""
    with place.open() as store:
        store.mark(may_advance("rides-job"), "this one")
    for source in sources_of(declaration, STREAMS):
        sent = [window.TimestampedValue(text, at / 1e6) for text, at in given[source.name]]
        stream = TestStream().advance_watermark_to(0)
        for first in range(0, len(sent), 40):
            stream = stream.add_elements(sent[first : first + 40]).advance_processing_time(0.4)
        last = max(at for _, at in given[source.name])
        stream = stream.advance_processing_time(10).advance_watermark_to_infinity()
        merge(source, declaration, place, dead_letters, stream, last, job)


def merge(
    source: EventSource, declaration: Declaration, place: Place, dead_letters: Path, stream: TestStream, tick: int,
    job: str,
) -> None:  # fmt: skip
    """Runs the job of one source over a stream of messages, with one tick."""
    assert isinstance(source, PubSub)
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=StandardOptions([], streaming=True)) as pipeline:
        read = pipeline | stream | beam.Map(PubsubMessage._from_proto_str)
        ticks = pipeline | beam.Create([tick]) | beam.Map(lambda at: window.TimestampedValue(at, at / 1e6))
        _ = (read, ticks) | MergeMessages(job, "rides-job", source, declaration, place, str(dead_letters), 4, 50)


def registers(place: Place) -> dict[str, Register]:
    with place.open() as store:
        return {register.source: register for register in store.registers()}


def test_the_rows_are_those_of_the_events_and_registers_follow_the_watermark(
    tmp_path: Path, declaration: Declaration, here: Place, wanted: Place
) -> None:
    events = {"rides": rides(120), "payments": payments(rides(120))}
    bad = list(spoilt().values())
    given = {name: messages([*some, *(bad if name == "rides" else [])]) for name, some in events.items()}
    given["rides"].append((message(BROKEN, BEGIN), BEGIN))
    run(declaration, here, tmp_path / "dead", given, "this one")
    merged(declaration, events, wanted)
    assert Rows.of(declaration, here, events) == Rows.of(declaration, wanted, events)
    letters = LetterDirectory(f"{tmp_path}/dead").counts()
    assert letters == {("rides", reason): 1 for reason in ("unparsable", *spoilt())}
    every = ADVANCE_EVERY_S * SECOND
    assert {name: register.watermark for name, register in registers(here).items()} == {
        name: (max(event["taken_in"] for event in some) // every + 1) * every for name, some in events.items()
    }


def test_a_job_that_may_not_advance_merges_and_leaves_the_registers(
    tmp_path: Path, declaration: Declaration, here: Place, wanted: Place
) -> None:
    events = {"rides": rides(30), "payments": payments(rides(30))}
    run(declaration, here, tmp_path / "dead", {name: messages(some) for name, some in events.items()}, "another")
    merged(declaration, events, wanted)
    assert Rows.of(declaration, here, events) == Rows.of(declaration, wanted, events)
    assert registers(here) == {}


def test_a_register_does_not_pass_what_waits_to_be_merged(
    tmp_path: Path, declaration: Declaration, here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_when_advanced = []

    def look(self: AdvanceRegister, element: object) -> list[None]:
        with here.open() as store:
            rows_when_advanced.append(store.size()[0])
        return []

    monkeypatch.setattr(AdvanceRegister, "process", look)
    [(text, at), *_] = messages(rides(1))
    source, _ = sources_of(declaration, STREAMS)
    stream = (
        TestStream()
        .advance_watermark_to(0)
        .add_elements([window.TimestampedValue(text, at / 1e6)])
        .advance_watermark_to(at // SECOND + 100)  # the runner's source is far beyond
        .advance_processing_time(10)  # and only now the message is merged
        .advance_watermark_to_infinity()
    )
    merge(source, declaration, here, tmp_path / "dead", stream, at, "this one")
    assert rows_when_advanced == [2]  # one of each entity


@pytest.mark.parametrize("at_once", [7, 1000])
def test_all_events_of_a_key_are_in_one_shard_however_they_are_written(declaration: Declaration, at_once: int) -> None:
    [source, _] = sources_of(declaration, STREAMS)
    assert isinstance(source, PubSub)
    sharding = ShardMessages(source, declaration, 8, at_once)
    sharding.setup()
    sharding.start_bundle()
    events = [event | ({"rider": str(event["rider"])} if number % 2 else {}) for number, event in enumerate(rides(200))]
    found = []
    for text, at in messages(events):
        found += [(each.value, each.timestamp) for each in sharding.process(
            PubsubMessage._from_proto_str(text), window.Timestamp(micros=at)
        )]  # fmt: skip
    found += [(each.value, each.timestamp) for each in sharding.finish_bundle()]
    shards = collections.defaultdict(set)
    seen: collections.Counter[tuple[int, str]] = collections.Counter()
    for ((name, number, shard), batch), at in found:
        assert name == "rides"
        assert batch.ingest is not None
        assert at.micros == batch.ingest.min()  # so that the watermark waits for the first of them
        assert batch.watermark < 0
        assert batch.watermark > NEVER
        for row in batch.rows.to_pylist():
            shards[number, str(row["rider"] if number == 0 else row["area"])].add(shard)
            seen[number, str(row["ride"])] += 1
    assert {len(some) for some in shards.values()} == {1}
    assert len({shard for some in shards.values() for shard in some}) == 8
    assert set(seen.values()) == {1, 2}
    assert len(seen) == 2 * 200  # once for each entity of the source
