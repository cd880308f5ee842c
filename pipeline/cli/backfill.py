"""`twinbeam backfill`: the live features of recorded requests, as Parquet."""

import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipeline.cli.failures import Failures, ending
from pipeline.cli.interrupt import interrupt_ends
from pipeline.cli.options import (
    DEFAULT_DATAFLOW,
    DEFAULT_FEATURES,
    AsJson,
    Dataflow,
    DataflowSet,
    Debug,
    Events,
    Features,
    FlinkMaster,
    JobName,
    Parallelism,
    Runner,
    Set,
    by_source,
    dataflow_only,
    engine_of,
    job_name_of,
    load,
)
from pipeline.cli.quiet import noise_to
from pipeline.engines.dataflow import load_settings
from pipeline.engines.engine import Engine
from pipeline.whole_directory import clear

if TYPE_CHECKING:
    from pipeline.live.account import Account


def backfill_command(
    output: Annotated[str, typer.Option(help="Where the Parquet files are written; must not exist.", metavar="DIR")],
    features: Features = DEFAULT_FEATURES,
    overrides: Set = [],  # noqa: B006 (typer reads it)
    events: Events = [],  # noqa: B006
    requests: Annotated[
        str, typer.Option(help="Who asks, and when: file, directory or glob; else the events.", metavar="PATH")
    ] = "",
    runner: Runner = "local",
    dataflow: Dataflow = DEFAULT_DATAFLOW,
    dataflow_set: DataflowSet = [],  # noqa: B006
    job_name: JobName = "",
    flink_master: FlinkMaster = "",
    parallelism: Parallelism = 1,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Computes the live features of recorded requests from recorded events, in this process or elsewhere."""
    if runner != "dataflow":
        dataflow_only(dataflow, dataflow_set=dataflow_set, job_name=job_name)
    started = time.monotonic()
    failures = Failures(debug, as_json, Path(output))
    with ending(failures):
        declaration = load(features, overrides)
        engine = engine_of(runner, flink_master, parallelism)
        places = by_source(declaration, events, "--events")
        if runner == "dataflow":
            name = job_name_of(declaration, job_name, "backfill")
            engine = Engine(tuple(load_settings(dataflow, dataflow_set).beam_args(name)))
        from pipeline.jobs.backfill import backfill

        with noise_to(Path("/dev/null")) as files:
            out, err = (Console(file=file) for file in files)

            def interrupted() -> int:
                clear(Path(output))
                return failures.show(KeyboardInterrupt(), out, err, None)

            with ending(failures, out, err), interrupt_ends(interrupted):
                account = backfill(declaration, places, requests or None, output, engine=engine)
    seconds = time.monotonic() - started
    if as_json:
        said = dataclasses.asdict(account) | {"counted": account.counted, "seconds": seconds, "output": output}
        typer.echo(json.dumps(said))
        return
    _print(account, len(declaration.live_features), output, seconds)


def _print(account: "Account", features: int, output: str, seconds: float) -> None:
    for source, read in account.events.items():
        typer.echo(f"{source}: {read:,} events read, {account.counted[source]:,} counted")
    for rejection in account.rejections:
        typer.echo(f"rejected: {rejection}")
    for entity, count in account.repeated.items():
        if count:
            typer.echo(f"{entity}: {count:,} events repeat another and count once")
    for entity, count in account.without_key.items():
        typer.echo(f"{entity}: {count:,} events have no key")
    typer.echo(f"{account.requests:,} requests, {features} features, {seconds:.1f} s: {output}")
