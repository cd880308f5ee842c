"""What an event costs the streaming job's own steps on Dataflow, in CPU time of a worker; see docs/capacity.md.

Run `uv run python -m benchmarks.shards`. The steps are called one after the other in this process, as a worker would:
messages of Pub/Sub in bundles, split into shards, coded and decoded as between workers, and a second's worth of each
shard merged into Redis. 12 features over two keys that follow Zipf's law (1.1), as in `benchmarks.stream`. What
Dataflow itself costs, its reading and grouping, is not in it, nor is Redis.
"""

import argparse
import collections
import json
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
from apache_beam.coders import registry
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.utils.timestamp import Timestamp

from benchmarks.stream import declare, write_events
from modules.spec import load_declaration
from pipeline.jobs.stream import sources_of
from pipeline.live.place import Place
from pipeline.live.shards import MergeShard, Shard, ShardMessages
from pipeline.sources.pubsub import PubSub
from pipeline.sources.source import EventBatch
from tests.pipeline.live.test_shards import message
from tests.pipeline.stores.servers import redis_server

_BUNDLE = 1_000
_STEPS = ("receive", "shuffle", "merge")


def costs(features: Path, store: str, texts: list[bytes], a_second: int, shards: int) -> dict[str, float]:
    """CPU microseconds an event of each step, at so many events a second."""
    declaration = load_declaration(features)
    [source] = sources_of(declaration, {"rides": "pubsub://project/rides"})
    assert isinstance(source, PubSub)
    sharding = ShardMessages(source, declaration, shards, 20_000)
    merging = MergeShard("job", declaration, Place(store, f"{a_second}-{shards}"), "/nowhere", 20_000)
    coder = registry.get_coder(tuple[Shard, EventBatch])
    sharding.setup()
    merging.setup()
    spent = dict.fromkeys(_STEPS, 0.0)
    for second in range(0, len(texts), a_second):
        gathered: dict[Shard, list[EventBatch]] = collections.defaultdict(list)
        for first in range(second, second + a_second, _BUNDLE):
            begun = time.process_time()
            sharding.start_bundle()
            elements = []
            for text in texts[first : min(first + _BUNDLE, second + a_second)]:
                read = PubsubMessage._from_proto_str(text)
                elements += [each.value for each in sharding.process(read, Timestamp(0))]
            elements += [each.value for each in sharding.finish_bundle()]
            spent["receive"] += time.process_time() - begun
            begun = time.process_time()
            for shard, batch in map(coder.decode, map(coder.encode, elements)):
                gathered[shard].append(batch)
            spent["shuffle"] += time.process_time() - begun
        begun = time.process_time()
        for element in gathered.items():
            list(merging.process(element))
        spent["merge"] += time.process_time() - begun
    return {name: seconds / len(texts) * 1e6 for name, seconds in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    given = parser.parse_args()
    print("| keys | events/s | shards | receive | shuffle | merge | together, CPU us an event | events a CPU second |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        features = declare(directory)
        for keys in (1_000, 100_000):
            write_events(directory / "events.parquet", given.events, keys, 0, 1, 1)
            rows = pq.read_table(directory / "events.parquet").to_pylist()
            texts = [message(json.dumps(row).encode(), row["at"]) for row in rows]
            for a_second, shards in ((1_000, 4), (10_000, 16), (100_000, 64)):
                with redis_server() as server:
                    count = min(given.events, 20 * a_second)
                    cost = costs(features, f"redis://127.0.0.1:{server.port}", texts[:count], a_second, shards)
                total = sum(cost.values())
                each = " | ".join(f"{cost[step]:.0f}" for step in _STEPS)
                print(f"| {keys:,} | {a_second:,} | {shards} | {each} | {total:.0f} | {1e6 / total:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
