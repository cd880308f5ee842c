"""What a prediction through the feature gateway costs, and what becomes of requests while its neighbours restart.

    uv run python -m benchmarks.gateway build/serving_model/taxi

The directory holds at least two versions that differ; the last two are served, one after the other. Model server,
gateway and Redis are processes of their own, all on this machine; Redis is filled with the taxi trips. Requests are
the last trips of the data as of its end, sent on time at 200 a second over 8 connections that stay open; a reply that
is late counts from when its request was due. In the second part the model rolls over to another version, and Redis is
killed and started again from its file, in the middle of the load; each score is compared with the one that the
version which answered gives in this process for the live features in the reply.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import uvloop

from modules.spec import Declaration, load_declaration
from pipeline.ingest.files import find_files
from pipeline.live.requests import canonical
from pipeline.serving.signature import ScoringModel

ROOT = Path(__file__).parent.parent
RATE = 200
CONNECTIONS = 8
CORES = len(os.sched_getaffinity(0))
FEATURES = ROOT / "schema/taxi/features.yaml"
Reply = tuple[float, int, dict[str, Any], int]
"""Latency in s from when the request was due, status, document, and which request it was."""


def main() -> None:
    """Measures, and prints tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base_path", type=Path, help="Directory of the model's versions.")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rate", type=int, default=RATE, help="Requests a second.")
    options = parser.parse_args()
    declaration = load_declaration(FEATURES)
    rows = requests(declaration, 2_000)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        scratch = Path(name)
        versions = sorted(int(each.name) for each in options.base_path.iterdir() if each.name.isdigit())[-2:]
        for number, version in enumerate(versions, start=1):
            shutil.copytree(options.base_path / str(version), scratch / "models" / str(number))
        shutil.copytree(scratch / "models/1", scratch / "taxi/1")
        redis = Redis(scratch)
        stack.callback(redis.stop)
        redis.start()
        bootstrap(redis.url)
        server, port = free_port(), free_port()
        flags = [f"--port={server}", "--model_name=taxi", f"--model_base_path={scratch}/taxi"]
        pids = {"Redis": redis.pid, "client": os.getpid()}
        log = scratch / "server.log"
        pids["model server"] = stack.enter_context(process(["pipeline.cli.model_server", *flags], log, server))
        store = ["--store", redis.url, "--model-server", f"127.0.0.1:{server}"]
        command = ["pipeline.cli.main", "serve", "--features", FEATURES, *store, "--port", port]
        pids["gateway"] = stack.enter_context(process(command, scratch / "gateway.log", port))
        uvloop.run(load(port, rows, options.rate, 5))  # warm
        tens = [[row for one in rows[at : at + 10] for row in one] for at in range(0, len(rows), 10)]
        print(f"{'':32}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}   CPU ms a request, and of all cores' time")
        for name, bodies, rate in (("1 row", rows, 20), ("1 row", rows, options.rate), ("10 rows", tens, 40)):
            before = {each: cpu_s(pid) for each, pid in pids.items()}
            replies = uvloop.run(load(port, bodies, rate, options.seconds))
            spent = {each: (cpu_s(pid) - before[each]) / len(replies) for each, pid in pids.items()}
            show(f"{name}, {rate} a second", replies, spent, sum(spent.values()) * rate / CORES)
        print(stages(port))
        verdict(uvloop.run(disturbed(port, rows, options, redis, scratch)), rows, declaration, scratch / "taxi")


def requests(declaration: Declaration, count: int) -> list[list[dict[str, Any]]]:
    """The last trips as rows with their own columns, as of the end of the data, one a request."""
    table = pa.csv.read_csv(find_files(declaration.data)[0].path).sort_by("trip_start_timestamp")
    names = [n for n, column in declaration.columns.items() if column.role == "feature"]
    end = table["trip_start_timestamp"][-1].as_py()
    kinds: dict[str, Any] = {"int": int, "float": float, "string": str}
    return [
        [
            {n: kinds[declaration.columns[n].type](value) for n, value in row.items() if value is not None}
            | {"trip_start_timestamp": end}
        ]
        for row in table.slice(len(table) - count).select(names).to_pylist()
    ]


def bootstrap(url: str) -> None:
    """Fills the store with all trips, in batches as small as a stream's, so that its rows are folded as those are."""
    command = [sys.executable, "-m", "pipeline.cli.main", "bootstrap", "--store", url, "--batch-events", "1000"]
    with tempfile.TemporaryDirectory() as letters:
        subprocess.run([*command, "--dead-letters", letters], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


class Redis:
    """A server that keeps its rows in a file when it is killed."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        quiet = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--bind", "127.0.0.1"]
        self._command = ["redis-server", "--port", str(self.port), "--dir", str(directory), *quiet]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """That of the server now."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        while (
            b"PONG"
            not in subprocess.run(["redis-cli", "-p", str(self.port), "ping"], capture_output=True, check=False).stdout
        ):
            time.sleep(0.02)

    def stop(self) -> None:
        """Kills it."""
        if self._process:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def process(command: list[Any], log: Path, port: int) -> Iterator[int]:
    """The process of a module of ours, once it listens."""
    with log.open("w") as file:
        running = subprocess.Popen([sys.executable, "-m", *map(str, command)], cwd=ROOT, stdout=file, stderr=file)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if running.poll() is not None:
                raise RuntimeError(log.read_text()[-2000:])
            time.sleep(0.1)
        yield running.pid
    finally:
        running.terminate()
        running.wait()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def load(port: int, rows: list[list[dict[str, Any]]], rate: int, seconds: float) -> list[Reply]:
    """Sends requests at a rate, whether or not earlier ones are answered, and gives all replies.

    It shares the cores with what it measures, so it reads the documents once all replies are there.
    """
    head = "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    bodies = [json.dumps({"requests": each}).encode() for each in rows]
    messages = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]
    replies: list[tuple[float, bytes, bytes, int]] = []
    begin = time.perf_counter() + 0.1
    numbers = iter(range(int(rate * seconds)))

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            due = begin + number / rate
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            writer.write(messages[number % len(messages)])
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            text = await reader.readexactly(length)
            replies.append((time.perf_counter() - due, answer, text, number % len(messages)))
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return [(took, int(answer.split()[1]), json.loads(text), number) for took, answer, text, number in replies]


async def disturbed(
    port: int, rows: list[list[dict[str, Any]]], options: argparse.Namespace, redis: Redis, scratch: Path
) -> list[Reply]:
    """The replies of a load in the middle of which the model rolls over, and Redis restarts."""
    loading = asyncio.create_task(load(port, rows, options.rate, options.seconds))
    await asyncio.sleep(options.seconds / 4)
    (scratch / "models/2").rename(scratch / "taxi/2")
    await asyncio.sleep(options.seconds / 4)
    started = time.perf_counter()
    await asyncio.to_thread(redis.stop)
    await asyncio.sleep(1)
    await asyncio.to_thread(redis.start)
    print(f"\nRedis was away for {time.perf_counter() - started:.1f} s; versions 1 and 2 of the model")
    return await loading


def verdict(replies: list[Reply], rows: list[list[dict[str, Any]]], declaration: Declaration, models: Path) -> None:
    """Prints what was answered, and how many scores are wrong."""
    print(f"statuses: {dict(Counter(status for _, status, _, _ in replies))}")
    refusals = Counter(
        reply["error"]["message"].partition(": ")[2][:60] for _, status, reply, _ in replies if status != 200
    )
    print(f"refusals: {dict(refusals)}")
    show("answered", [each for each in replies if each[1] == 200])
    for version in (1, 2):
        mine = [r for r in replies if r[1] == 200 and r[2]["model"]["version"] == version]
        asked = [rows[number][0] for _, _, _, number in mine]
        answers = [reply["predictions"][0] for _, _, reply, _ in mine]
        columns = {
            name: pa.array([row.get(name) for row in asked], canonical(column))
            for name, column in declaration.columns.items()
            if column.role == "feature"
        } | {name: pa.array([each["live"][name]["value"] for each in answers]) for name in declaration.live_features}
        wanted = ScoringModel(str(models / str(version))).score(columns).numpy().tolist() if mine else []
        wrong = sum(each["score"] != score for each, score in zip(answers, wanted, strict=True))
        print(f"version {version}: {len(mine):,} scores, {wrong} wrong")


def metrics(port: int) -> dict[str, float]:
    """The gateway's own, by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
        lines = [line.rpartition(" ") for line in reply.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def stages(port: int) -> str:
    """The mean time of each stage."""
    found = metrics(port)
    name = "twinbeam_gateway_stage_seconds"
    means = {
        stage: found[f'{name}_sum{{stage="{stage}"}}'] / found[f'{name}_count{{stage="{stage}"}}']
        for stage in ("parse", "store", "model")
    }
    return "mean of stages, ms: " + ", ".join(f"{stage} {mean * 1e3:.2f}" for stage, mean in means.items())


def cpu_s(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(name: str, replies: list[Reply], spent: dict[str, float] | None = None, share: float = 0) -> None:
    """Prints a line of latencies, and what each process used for a request."""
    p50, p99, most = np.percentile([each[0] for each in replies], [50, 99, 100]) * 1e3
    used = (
        ", ".join(f"{each} {seconds * 1e3:.2f}" for each, seconds in spent.items()) + f"; {share:.0%}" if spent else ""
    )
    print(f"{name:32}{p50:9.2f}{p99:9.2f}{most:9.2f}   {used}", flush=True)


if __name__ == "__main__":
    main()
