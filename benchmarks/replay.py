"""The proof on a million generated events: 12 features over two keys, shuffled, late, and one in ten given twice.

    uv run python -m benchmarks.replay [--events N]

The events are the requests, too. Riders and areas follow Zipf's law with exponent 1.1. It is the real command in a
process of its own, with a SQLite file as the store; CPU seconds and memory are those of that process, imports included.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import measure

DAYS = 30
RIDERS, AREAS = 10_000, 300

DECLARATION = (
    """\
dataset: rides
data: rides.parquet
columns:
  at: {type: timestamp, unit: us, role: time}
  ride: {type: int, role: id}
  rider: {type: int, role: key}
  area: {type: int, role: key}
  fare: {type: float, role: feature, transform: {name: scale}}
  big: {type: int, role: label}
live:
  lookback: 1d
  sources:
    rides: {time: at, id: [ride], lateness: 1h}
  features:
"""
    + "".join(
        f"    {key}_{name}_{window}: {{source: rides, key: [{key}], window: {window}, {said}}}\n"
        for key in ("rider", "area")
        for window in ("1h", "1d", "7d")
        for name, said in {
            "count": "aggregation: count",
            "mean": "aggregation: mean, value: fare, scale: 100, default: -1",
        }.items()
    )
    + """\
label: {name: large, column: big}
split: {by: time, validation: 0.1, eval: 0.2}
evaluation: {thresholds: {auc: {at_least: 0.5}}}
"""
)


def write_rides(path: Path, rides: int) -> None:
    """Rides in the order of their times."""
    random = np.random.default_rng(1)
    fare = np.round(random.gamma(2, 6, rides) + 3, 2)
    start = 1_400_000_000_000_000
    columns = {
        "at": np.sort(random.integers(start, start + DAYS * 86_400_000_000, rides)),
        "ride": np.arange(rides),
        "rider": _zipf(random, RIDERS, rides),
        "area": _zipf(random, AREAS, rides),
        "fare": fare,
        "big": (fare > 20).astype(np.int64),
    }
    pq.write_table(pa.table(columns), path)


def _zipf(random: np.random.Generator, keys: int, count: int) -> np.ndarray:
    weights = np.arange(1, keys + 1) ** -1.1
    return random.choice(keys, count, p=weights / weights.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        (directory / "features.yaml").write_text(DECLARATION)
        write_rides(directory / "rides.parquet", events)
        command = [sys.executable, "-m", "pipeline.cli.main", "replay", "--json", "--duplicates=0.1"]
        command += [f"--features={directory}/features.yaml", f"--events={directory}/rides.parquet"]
        cost = measure(command, Path(__file__).parent.parent, directory)
    found = json.loads(cost.out)
    assert found["mismatches"] == 0, found
    heads = ("events", "requests", "pauses", "answers compared", "different", "wall s", "CPU s", "peak memory, MB")
    print("|", " | ".join(heads), "|")
    print("|", " | ".join("---" for _ in heads), "|")
    counts = [found["events"]["rides"], *(found[name] for name in ("requests", "pauses", "compared", "mismatches"))]
    print("|", " | ".join(f"{n:,}" for n in [*counts, *map(round, (cost.wall_s, cost.cpu_s, cost.peak_mb))]), "|")


if __name__ == "__main__":
    main()
