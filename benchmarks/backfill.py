"""The backfill beside Polars: the same 12 features of the same events; its linearity, and its peak memory.

    uv run python -m benchmarks.backfill

Each side reads the same Parquet file and writes one, in a process of its own; CPU seconds are those of the whole
process, imports included. Polars runs in an environment of its own, with `rolling_*_by` over each key and, where a
feature is delayed, `rolling` with an offset, which is the faster way there. The values are compared: counts exactly,
the others to 1e-9, because Polars adds floats in the order of the rows.
"""

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import Cost, measure

DAYS = (1, 7, 30)
YEARS = 4
LINEAR = (200_000, 500_000, 1_750_000, 5_000_000)

DECLARATION = (
    """\
dataset: rides
data: rides.parquet
columns:
  at: {type: timestamp, unit: s, role: time}
  ride: {type: int, role: id}
  cab: {type: int, role: key}
  fare: {type: float, role: feature, transform: {name: scale}}
  tip: {type: float, role: label}
  big: {type: int, role: label}
live:
  sources:
    rides: {time: at, id: [ride], lateness: 1d}
  features:
"""
    + "".join(
        f"    {name}_{days}d: {{source: rides, key: [cab], window: {days}d, step: 1s, edge: 1s, {said}}}\n"
        for days in DAYS
        for name, said in {
            "count": "aggregation: count",
            "fare": "aggregation: mean, value: fare, scale: 100, default: -1",
            "tip": "delay: 1d, aggregation: mean, value: tip, scale: 100, default: -1",
            "share": "delay: 1d, aggregation: ratio, value: tip, scale: 100, default: -1, "
            "over: {value: fare, scale: 100}",
        }.items()
    )
    + """\
label: {name: big, column: big}
split: {by: time, validation: 0.1, eval: 0.2}
evaluation: {thresholds: {auc: {at_least: 0.5}}}
"""
)

POLARS = """
import sys
import polars as pl

rides = pl.read_parquet(sys.argv[1])
rides = rides.with_columns(pl.from_epoch("at", time_unit="s"), one=pl.lit(1)).sort("cab", "at")
one, fare = pl.col("one"), pl.col("fare")
rides = rides.with_columns(
    [one.rolling_sum_by("at", f"{d}d", closed="left").over("cab").alias(f"count_{d}d") for d in (1, 7, 30)]
    + [fare.rolling_mean_by("at", f"{d}d", closed="left").over("cab").alias(f"fare_{d}d") for d in (1, 7, 30)]
)
for d in (1, 7, 30):
    delayed = rides.rolling("at", period=f"{d}d", offset=f"-{d + 1}d", closed="left", group_by="cab").agg(
        pl.col("tip").mean().alias(f"tip_{d}d"),
        (pl.col("tip").sum() / pl.col("fare").sum()).alias(f"share_{d}d"),
    )
    rides = rides.with_columns(delayed[f"tip_{d}d"], delayed[f"share_{d}d"])
rides.write_parquet(sys.argv[2])
"""

TWINBEAM = """
import sys
from pathlib import Path
from modules.spec import load_declaration
from pipeline.jobs.backfill import backfill

backfill(load_declaration(Path(sys.argv[1])), {"rides": [sys.argv[2]]}, None, Path(sys.argv[3]))
"""


Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def aside(function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    """Calls it in a process of its own, because a child's peak memory begins at that of its parent."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def write_rides(path: Path, rides: int, cabs: int, hot: bool = False) -> None:
    """Rides in the order of their times; where `hot`, every second one is of the same cab."""
    random = np.random.default_rng(1)
    start = 1_356_998_400
    fare = np.round(random.gamma(2, 6, rides) + 3, 2)
    tip = np.where(random.random(rides) < 0.4, np.round(fare * random.random(rides) * 0.3, 2), 0.0)
    cab = random.integers(0, cabs, rides)
    if hot:
        cab[::2] = 0
    columns = {
        "at": np.sort(random.integers(start, start + YEARS * 365 * 86_400, rides)),
        "ride": np.arange(rides),
        "cab": cab,
        "fare": fare,
        "tip": tip,
        "big": (tip > 0.2 * fare).astype(np.int64),
    }
    pq.write_table(pa.table(columns), path)


def twinbeam(directory: Path, rides: Path, output: Path) -> Cost:
    features = directory / "features.yaml"
    features.write_text(DECLARATION)
    command = [sys.executable, "-c", TWINBEAM, str(features), str(rides), str(output)]
    return measure(command, Path(__file__).parent.parent, directory)


def polars_python(directory: Path) -> Path:
    """The Python of a new environment with Polars."""
    environment = directory / "polars"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", python, "polars==1.*"], check=True)
    return python


def differences(ours: Path, theirs: Path) -> dict[str, float]:
    """The greatest difference of each feature over all rides, relative where the value is above 1."""
    left = pq.read_table(ours).sort_by("ride")
    right = pq.read_table(theirs).sort_by("ride")
    found = {}
    for name in left.column_names[6:]:
        mine, other = left[name].to_numpy(), right[name].to_numpy().astype(np.float64)
        if not name.startswith("count"):
            other = np.where(np.isnan(other), -1.0, other)  # of no rides
        found[name] = float((np.abs(mine - other) / np.maximum(np.abs(mine), 1)).max())
    return found


def beside_polars(directory: Path) -> None:
    python = polars_python(directory)
    print("| cabs | side | CPU s | wall s | peak memory, MB | CPU over Polars' | greatest difference |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for cabs in (4_990, 10_000):
        rides, ours, theirs = directory / "rides.parquet", directory / f"ours-{cabs}", directory / "theirs.parquet"
        aside(write_rides, rides, 1_750_000, cabs)
        reference = measure([str(python), "-c", POLARS, str(rides), str(theirs)], directory, directory)
        cost = twinbeam(directory, rides, ours)
        found = aside(differences, ours, theirs)
        assert all(found[f"count_{days}d"] == 0 for days in DAYS), found
        assert max(found.values()) < 1e-9, found
        for name, side, more in (
            ("polars", reference, ["", ""]),
            ("twinbeam", cost, [f"{cost.cpu_s / reference.cpu_s:.2f}", f"{max(found.values()):.0e}"]),
        ):
            cells = [f"{cabs:,}", name, f"{side.cpu_s:.1f}", f"{side.wall_s:.1f}", f"{side.peak_mb:,.0f}", *more]
            print("|", " | ".join(cells), "|", flush=True)


def by_size(directory: Path) -> None:
    print("| rides | cabs | CPU s | CPU s a million | peak memory, MB |")
    print("| --- | --- | --- | --- | --- |")
    for rides, hot in [*((rides, False) for rides in LINEAR), (LINEAR[-1], True)]:
        path = directory / "rides.parquet"
        aside(write_rides, path, rides, 4_990, hot)
        cost = twinbeam(directory, path, directory / f"{rides}-{hot}")
        cabs = "4,990, one with half of the rides" if hot else "4,990"
        each = cost.cpu_s / rides * 1e6
        print(f"| {rides:,} | {cabs} | {cost.cpu_s:.1f} | {each:.1f} | {cost.peak_mb:,.0f} |", flush=True)


def main() -> None:
    parts = {"polars": beside_polars, "size": by_size}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(parts))
    only = parser.parse_args().only
    for name, part in parts.items():
        if only in (None, name):
            with tempfile.TemporaryDirectory() as directory:
                part(Path(directory))


if __name__ == "__main__":
    main()
