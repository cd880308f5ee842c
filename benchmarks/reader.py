"""One read of 12 live features beside Feast's SDK read of 12 precomputed ones, on SQLite and on Redis, in one run.

    python -m benchmarks.reader

Ours are counts and means over 1, 7 and 30 days by rider and by driver, computed at each read from rows that a writer
has filled with a stream of events; and again 12 by rider alone. Feast's are looked up: as many, of the same keys, in
feature views by the same keys. Feast is installed into an environment of its own, which is removed at the end.

Each side is a process that reads when it is told to. They take turns, so that they share the machine's good and bad
moments, and each says the p50 and the p99 of its turn; of those the least and the median are printed.
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
FEAST = "feast[redis]==0.67.*"
DAYS = 60
BEGIN = 1_400_000_000
READS = 300
AT_ONCE = 100
KINDS = {"count": "aggregation: count", "mean": "aggregation: mean, value: amount, scale: 100, default: 0"}
WINDOWS = {"rider,driver": ("1d", "7d", "30d"), "rider": ("1h", "6h", "1d", "7d", "14d", "30d")}
DECLARATION = """\
dataset: rides
data: rides.parquet
columns:
  at: {type: timestamp, unit: us, role: time}
  rider: {type: int, role: key}
  driver: {type: int, role: key}
  amount: {type: float, role: feature, transform: {name: scale}}
  event: {type: int, role: ignored}
  good: {type: int, role: label}
live:
  sources:
    rides: {time: at, id: [event], lateness: 5m}
  features:
FEATURES
label: {name: big, column: good}
split: {by: time, validation: 0.1, eval: 0.2}
evaluation: {thresholds: {auc: {at_least: 0.0}}}
"""
Asked = dict[str, int]


def requests(seed: int, count: int, values: int) -> list[Asked]:
    """Riders and drivers, each as likely as any other."""
    drawn = np.random.default_rng(seed).integers(0, values, (count, 2)).tolist()
    return [{"rider": rider, "driver": driver} for rider, driver in drawn]


def ours(keys: str, url: str, values: int, events: int) -> tuple[Callable[[Asked], Any], Callable[[list[Asked]], Any]]:
    """Fills a store, and gives a read of one request and one of many."""
    import pyarrow as pa

    from modules.kernel.take import take
    from modules.kernel.window import NEVER
    from modules.live import entities
    from modules.spec import load_declaration
    from pipeline.live.merge import OnlineWriter
    from pipeline.live.reader import FeatureReader
    from pipeline.stores.store import Register
    from pipeline.stores.urls import open_store

    features = [
        f"    {key}_{kind}_{window}: {{source: rides, key: [{key}], window: {window}, {rest}}}"
        for key in keys.split(",")
        for window in WINDOWS[keys]
        for kind, rest in KINDS.items()
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(DECLARATION.replace("FEATURES", "\n".join(features)))
        file.flush()
        declaration = load_declaration(Path(file.name))
    kinds = entities(declaration)
    source = kinds[0].source
    random = np.random.default_rng(1)
    times = (BEGIN + np.sort(random.integers(0, DAYS * 86_400, events))) * 1_000_000
    columns = {
        "at": pa.array(times),
        "rider": pa.array(random.integers(0, values, events)),
        "driver": pa.array(random.integers(0, values, events)),
        "amount": pa.array(np.round(random.gamma(2, 8, events), 2)),
        "event": pa.array(np.arange(events)),
    }
    store = open_store(url, declaration.features_fingerprint)
    store.advance([Register(source.name, "0", NEVER, 0)])
    writer = OnlineWriter(source, kinds, store)
    for first in range(0, events, 50_000):
        writer.merge(take(source, {name: column.slice(first, 50_000) for name, column in columns.items()}))
        writer.advance("0", int(times[min(first + 50_000, events - 1)]), first + 50_000)
    reader, now = FeatureReader(declaration, store), int(times[-1]) + 1_000_000
    answers = reader.read_one({"rider": 1, "driver": 1}, now)
    assert len(answers) == 12
    assert all(value.status.item() == 0 for name, value in answers.items() if "30d" in name), answers

    def many(asked: list[Asked]) -> Any:
        batch = {name: pa.array([each[name] for each in asked]) for name in ("rider", "driver")}
        return reader.read(batch, np.full(len(asked), now))

    return lambda asked: reader.read_one(asked, now), many


def feast(keys: str, url: str, values: int, _: int) -> tuple[Callable[[Asked], Any], Callable[[list[Asked]], Any]]:
    """Pushes precomputed values into Feast's store, and gives a read of one request and one of many."""
    import datetime
    import warnings

    warnings.filterwarnings("ignore")
    import pandas as pd  # type: ignore[import-untyped]
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType  # type: ignore[import-not-found]
    from feast.repo_config import RepoConfig  # type: ignore[import-not-found]
    from feast.types import Float64, Int64  # type: ignore[import-not-found]

    directory = tempfile.mkdtemp()
    place, rest = url.split("://")
    online = {"type": place, "path": rest} if place == "sqlite" else {"type": place, "connection_string": rest}
    config = RepoConfig(
        project="benchmark",
        provider="local",
        registry=f"{directory}/registry.db",
        online_store=online,
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    references: list[str] = []
    for key in keys.split(","):
        names = [f"{kind}_{window}" for window in WINDOWS[keys] for kind in KINDS]
        random = np.random.default_rng(1)
        columns = {n: random.integers(0, 99, values) if "count" in n else random.random(values) for n in names}
        frame = pd.DataFrame({key: np.arange(values), "at": datetime.datetime.now(datetime.UTC), **columns})
        frame.to_parquet(f"{directory}/{key}.parquet")
        entity = Entity(name=key, join_keys=[key], value_type=ValueType.INT64)
        view = FeatureView(
            name=f"by_{key}",
            entities=[entity],
            schema=[Field(name=name, dtype=Int64 if "count" in name else Float64) for name in names],
            source=FileSource(path=f"{directory}/{key}.parquet", timestamp_field="at"),
            ttl=datetime.timedelta(days=1000),
        )
        store.apply([entity, view])
        store.write_to_online_store(view.name, frame)
        references += [f"{view.name}:{name}" for name in names]

    def many(asked: list[Asked]) -> Any:
        rows = [{key: each[key] for key in keys.split(",")} for each in asked]
        return store.get_online_features(features=references, entity_rows=rows, full_feature_names=True).to_dict()

    found = many([{"rider": 1, "driver": 1}])
    assert sum(value != [None] for value in found.values()) == 12 + len(keys.split(",")), found
    return lambda asked: many([asked]), many


def side(read: Callable[[Asked], Any], read_many: Callable[[list[Asked]], Any], values: int) -> None:
    """Reads whenever a line comes, and says how long that took in ms."""
    print("ready", flush=True)
    for seed, _ in enumerate(sys.stdin):
        spent = []
        for asked in requests(seed, READS, values):
            started = time.perf_counter()
            read(asked)
            spent.append(time.perf_counter() - started)
        batches = []
        for nth in range(5):
            many = requests(1000 + nth, AT_ONCE, values)
            started = time.perf_counter()
            read_many(many)
            batches.append(time.perf_counter() - started)
        p50, p99 = np.percentile(spent, [50, 99]).tolist()
        print(json.dumps([p50 * 1e3, p99 * 1e3, statistics.median(batches) * 1e3]), flush=True)


@contextlib.contextmanager
def redis_server(directory: Path) -> Iterator[int]:
    """The port of a server of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL) as server:
        time.sleep(1)
        try:
            yield port
        finally:
            server.terminate()


def take_turns(processes: dict[str, "subprocess.Popen[str]"], turns: int) -> dict[str, np.ndarray]:
    """What each side said; float64, shape (turns, 3)."""
    said: dict[str, list[list[float]]] = {name: [] for name in processes}
    for process in processes.values():
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "a side did not start; it has said why"
    for _ in range(turns):
        for name, process in processes.items():
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            said[name].append(json.loads(process.stdout.readline()))
    for process in processes.values():
        process.communicate()
    return {name: np.array(each) for name, each in said.items()}


def compare(
    store: str, keys: str, values: int, events: int, directory: Path, port: int, python: Path, turns: int
) -> None:
    """Prints what both sides need on one store."""
    places = {
        "sqlite": (f"sqlite://{directory}/ours-{keys}.db", f"sqlite://{directory}/feast-{keys}.db"),
        "redis": (f"redis://127.0.0.1:{port}/0", f"redis://127.0.0.1:{port},db=1"),
    }
    sides = {}
    for name, program, url in zip(("ours", "feast"), (sys.executable, python), places[store], strict=True):
        command = [
            program,
            "-m",
            "benchmarks.reader",
            "--side",
            name,
            "--values",
            values,
            "--events",
            events,
            keys,
            url,
        ]
        sides[name] = subprocess.Popen(
            list(map(str, command)), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    said = take_turns(sides, turns)
    for name, each in said.items():
        least, median = each.min(axis=0), np.median(each, axis=0)
        print(
            f"| {store} | {keys} | {name} | {least[0]:.3f} | {least[1]:.3f} | {median[0]:.3f} | {median[1]:.3f} | "
            f"{least[2]:.1f} |"
        )
    low, middle = (of(said["feast"], axis=0) / of(said["ours"], axis=0) for of in (np.min, np.median))
    print(
        f"| {store} | {keys} | feast over ours | {low[0]:.2f} | {low[1]:.2f} | {middle[0]:.2f} | {middle[1]:.2f} | "
        f"{low[2]:.2f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--values", type=int, default=10_000, help="How many riders there are, and how many drivers.")
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--feast", type=Path, help="A Python that has Feast; without it one is made.")
    parser.add_argument("--side", choices=["ours", "feast"])
    parser.add_argument("rest", nargs="*")
    options = parser.parse_args()
    if options.side:
        keys, url = options.rest
        start = ours if options.side == "ours" else feast
        side(*start(keys, url, options.values, options.events), options.values)
        return
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        python = options.feast or directory / "feast/bin/python"
        if not options.feast:
            uv = [shutil.which("uv") or "uv", "--quiet"]
            env = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}
            subprocess.run([*uv, "venv", "--python", sys.executable, directory / "feast"], check=True, env=env)
            subprocess.run([*uv, "pip", "install", "--python", python, FEAST], check=True, env=env)
        print("| store | keys | side | p50, ms | p99 | median of p50 | of p99 | 100 keys at once, ms |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        with redis_server(directory) as port:
            for keys in WINDOWS:
                for store in ("sqlite", "redis"):
                    compare(store, keys, options.values, options.events, directory, port, python, options.turns)


if __name__ == "__main__":
    main()
