"""What the streaming job costs: speed, memory, the sizes of rows and store, and how soon it reads.

Run `uv run python -m benchmarks.stream`; the long run is `--only steady --minutes 10`. Each job is the real `twinbeam
stream` in a process of its own, from recorded events: 12 features over two keys that follow Zipf's law (1.1).
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import measure
from modules.spec import load_declaration
from pipeline.stores.urls import open_store
from tests.pipeline.stores.servers import redis_server

ROOT = Path(__file__).parent.parent
_BEGIN = 1_400_000_000_000_000
_DAY = 86_400_000_000
_FILE_EVENTS = 200_000
_WINDOWS = ("1d", "7d", "30d")
_HEAD = """\
dataset: rides
data: rides.parquet
columns:
  at: {type: timestamp, unit: us, role: time}
  rider: {type: int, role: key}
  area: {type: int, role: key}
  amount: {type: float, role: feature, transform: {name: scale}}
  event: {type: int, role: ignored}
  good: {type: int, role: label}
label: {name: big, column: good}
split: {by: time, validation: 0.1, eval: 0.2}
evaluation: {thresholds: {auc: {at_least: 0.0}}}
live:
  sources:
    rides: {time: at, id: [event], lateness: 5m}
  features:
"""


def declare(directory: Path) -> Path:
    """Counts and means of two keys over three windows."""
    lines = [
        line
        for key in ("rider", "area")
        for window in _WINDOWS
        for line in (
            f"    {key}_count_{window}: {{source: rides, key: [{key}], aggregation: count, window: {window}}}",
            f"    {key}_mean_{window}: {{source: rides, key: [{key}], aggregation: mean, value: amount, scale: 100, "
            f"default: 0, window: {window}}}",
        )
    ]
    path = directory / "features.yaml"
    path.write_text(_HEAD + "\n".join(lines) + "\n")
    return path


def write_events(path: Path, count: int, keys: int, first_day: float, days: float, seed: int, hot: float = 0.0) -> None:
    """Events in order of time; a share `hot` of them has key 0."""
    chance = np.random.default_rng(seed)
    weights = np.cumsum(1 / np.arange(1, keys + 1) ** 1.1)

    def key() -> np.ndarray:
        drawn = np.searchsorted(weights, chance.random(count) * weights[-1])
        return np.where(chance.random(count) < hot, 0, drawn)

    at = np.sort(chance.integers(int(first_day * _DAY), int((first_day + days) * _DAY), count)) + _BEGIN
    table = pa.table(
        {
            "at": at, "rider": key(), "area": key(), "amount": np.round(chance.gamma(2, 8, count), 2),
            "event": np.arange(count) + seed * 10**9, "good": np.zeros(count, np.int64),
        }
    )  # fmt: skip
    pq.write_table(table, path.with_suffix(".partial"))
    path.with_suffix(".partial").rename(path)


def command(features: Path, store: str, source: str, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "pipeline.cli.main", "stream", f"--features={features}", f"--store={store}",
        f"--source={source}", f"--dead-letters={features.parent}/dead", *more,
    ]  # fmt: skip


@contextlib.contextmanager
def store_of(kind: str, directory: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite://{directory}/live.db"
        for path in directory.glob("live.db*"):
            path.unlink()
    else:
        with redis_server() as server:
            yield f"redis://127.0.0.1:{server.port}/0"


def size(store: str, features: Path) -> tuple[int, int]:
    """Rows and bytes."""
    with open_store(store, load_declaration(features).features_fingerprint) as opened:
        return opened.size()


def speed(directory: Path, events: int) -> None:
    """Events per second, once the start is over: that of an empty recording is taken off."""
    features = declare(directory)
    write_events(directory / "few.parquet", 1, 1, 0, 1, 0)
    print("| keys | days | store | events/s, wall | events/s, CPU of the job | peak MB | rows | bytes a row |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind in ("sqlite", "redis"):
        with store_of(kind, directory) as store:
            start = measure(command(features, store, f"file://{directory}/few.parquet"), ROOT, directory)
        for keys in (1_000, 100_000):
            for days in (60.0, 1.0):
                write_events(directory / "events.parquet", events, keys, 0, days, 1)
                with store_of(kind, directory) as store:
                    cost = measure(command(features, store, f"file://{directory}/events.parquet"), ROOT, directory)
                    assert json.loads(cost.out)["merged"] == events
                    rows, total = size(store, features)
                wall, cpu = events / (cost.wall_s - start.wall_s), events / (cost.cpu_s - start.cpu_s)
                print(
                    f"| {keys:,} | {days:g} | {kind} | {wall:,.0f} | {cpu:,.0f} | {cost.peak_mb:,.0f} | {rows:,} | "
                    f"{total / rows:,.0f} |",
                    flush=True,
                )


def steady(directory: Path, minutes: float, keys: int, kind: str) -> None:
    """A growing directory for so many minutes: speed and memory of each of ten parts."""
    features, incoming = declare(directory), directory / "incoming"
    incoming.mkdir()
    done, written, read = threading.Event(), 0, 0

    def feed() -> None:
        nonlocal written
        for number in range(10**6):
            while not done.is_set() and written - read > 3 * _FILE_EVENTS:
                time.sleep(0.05)
            if done.is_set():
                return
            write_events(incoming / f"{number:06}.parquet", _FILE_EVENTS, keys, number * 2.0, 2.0, number)
            written += _FILE_EVENTS

    with store_of(kind, directory) as store:
        threading.Thread(target=feed, daemon=True).start()
        job = subprocess.Popen(command(features, store, f"file://{incoming}?follow=true"), cwd=ROOT)
        namespace = load_declaration(features).features_fingerprint
        print("| minute | events | events/s | memory of the job, MB | rows | store, MB |")
        print("| --- | --- | --- | --- | --- | --- |")
        try:
            began = now = time.monotonic()
            for part in range(1, 11):
                before = read
                while time.monotonic() - began < part * minutes * 6:
                    time.sleep(0.5)
                    with open_store(store, namespace) as opened:
                        read = sum(register.position for register in opened.registers())
                then, now = now, time.monotonic()
                rows, total = size(store, features)
                print(
                    f"| {(now - began) / 60:.1f} | {read:,} | {(read - before) / (now - then):,.0f} | "
                    f"{memory_mb(job.pid):,.0f} | {rows:,} | {total / 1e6:,.1f} |",
                    flush=True,
                )
        finally:
            done.set()
            job.send_signal(signal.SIGTERM)
            assert job.wait() == 0
    shutil.rmtree(incoming)


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def bounded(directory: Path) -> None:
    """A key that gets half of all events: the sizes after each fifth of 100 days."""
    features, incoming = declare(directory), directory / "hot"
    incoming.mkdir()
    print("| day | rows | store, kB | the hot key's row, kB |\n| --- | --- | --- | --- |")
    with store_of("sqlite", directory) as store:
        for number in range(5):
            write_events(incoming / f"{number}.parquet", 100_000, 100, number * 20.0, 20.0, number, hot=0.5)
            measure(command(features, store, f"file://{incoming}", "--batch-events=2000"), ROOT, directory)
            rows, total = size(store, features)
            with contextlib.closing(sqlite3.connect(store.removeprefix("sqlite://"))) as opened:
                ((largest,),) = opened.execute(_LARGEST)
            print(f"| {(number + 1) * 20} | {rows} | {total / 1e3:,.0f} | {largest / 1e3:,.0f} |", flush=True)


_LARGEST = (
    "SELECT max(length(recent) + length(identities) + ifnull(length(cells), 0)) FROM row LEFT JOIN older USING (id)"
)


def start(directory: Path) -> None:
    """CPU seconds until the first batch is polled, over those of `import apache_beam`; the least of three."""
    features = declare(directory)
    write_events(directory / "one.parquet", 1, 1, 0, 1, 0)
    beam = min(measure([sys.executable, "-c", "import apache_beam"], ROOT, directory).cpu_s for _ in range(3))
    costs = []
    for number in range(3):
        arguments = command(features, f"sqlite://{directory}/start{number}.db", f"file://{directory}/one.parquet")[3:]
        run = [sys.executable, "-c", _UNTIL_POLLED, *arguments]
        costs.append(float(measure(run, ROOT, directory, os.environ | {"PYTHONPATH": str(ROOT)}).out))
    print(
        f"import apache_beam: {beam:.2f} CPU s; until events are read: {min(costs):.2f}; {min(costs) / beam:.2f} times"
    )


_UNTIL_POLLED = """
import os, time
from pipeline.cli.main import app
from pipeline.sources import recorded

def poll(self, most):
    print(time.process_time(), flush=True)
    os._exit(0)

recorded.RecordedPartition.poll = poll
app(prog_name="twinbeam")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["start", "speed", "bounded", "steady"])
    parser.add_argument("--events", type=int, default=1_000_000, help="of each speed")
    parser.add_argument("--minutes", type=float, default=2, help="of the steady run")
    parser.add_argument("--keys", type=int, default=1_000, help="of the steady run")
    parser.add_argument("--store", choices=["sqlite", "redis"], default="sqlite", help="of the steady run")
    given = parser.parse_args()
    parts = {
        "start": start,
        "speed": lambda directory: speed(directory, given.events),
        "bounded": bounded,
        "steady": lambda directory: steady(directory, given.minutes, given.keys, given.store),
    }
    for name, part in parts.items():
        if given.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="twinbeam-benchmark-") as directory:
                print(f"\n{name}\n")
                part(Path(directory))


if __name__ == "__main__":
    main()
