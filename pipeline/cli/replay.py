"""`twinbeam replay`: the proof that stream and batch give the same bits."""

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from modules.spec.instant import written_instant
from pipeline.cli.failures import Failures, ending
from pipeline.cli.live import make_directory, only_errors_of_ours
from pipeline.cli.options import (
    DEFAULT_FEATURES,
    RUNNER,
    AsJson,
    Debug,
    Events,
    Features,
    FlinkMaster,
    Parallelism,
    Set,
    by_source,
    engine_of,
    load,
)

if TYPE_CHECKING:
    from pipeline.jobs.replay import Replayed


def replay_command(
    features: Features = DEFAULT_FEATURES,
    overrides: Set = [],  # noqa: B006 (typer reads it)
    events: Events = [],  # noqa: B006
    requests: Annotated[
        str, typer.Option(help="Who asks, and when: file, directory or glob; else the events.", metavar="PATH")
    ] = "",
    store: Annotated[
        str, typer.Option(help="Where a namespace is made, and removed; else a file of its own.", metavar="URL")
    ] = "",
    shuffle: Annotated[
        str, typer.Option(help="How far events are given from their place, in ingest time.", metavar="DURATION")
    ] = "5m",
    duplicates: Annotated[float, typer.Option(help="The share of events given twice.", min=0, max=1)] = 0.05,
    late: Annotated[bool, typer.Option(help="Takes events in late, up to their source's lateness.")] = True,
    seed: Annotated[int, typer.Option(help="From which all chance comes.", min=0, max=2**60 - 1)] = 1,
    runner: Annotated[Literal["local", "flink"], RUNNER] = "local",
    flink_master: FlinkMaster = "",
    parallelism: Parallelism = 1,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Proves that stream and batch give the same bits, on recorded events; exit code 1 where it is not shown."""
    with ending(Failures(debug, as_json)):
        declaration = load(features, overrides)
        make_directory(store)
        only_errors_of_ours(debug)
        paths = by_source(declaration, events, "--events")
        from pipeline.jobs.replay import Disorder, replay

        engine = engine_of(runner, flink_master, parallelism)
        disorder = Disorder(shuffle, duplicates, late, seed)
        found = replay(declaration, paths, requests or None, store or None, disorder, engine=engine)
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(found)))
        else:
            _print(found)
        if found.mismatches or found.never_compared:
            raise typer.Exit(1)


def _print(found: "Replayed") -> None:
    from pipeline.jobs.named_value import command

    for source, count in found.events.items():
        typer.echo(f"{source}: {count:,} events")
    typer.echo(f"{found.requests:,} requests, {found.features} live features, {found.pauses:,} pauses")
    typer.echo(
        f"{found.compared:,} answers compared, {found.mismatches:,} different; "
        f"besides {found.incomplete:,} incomplete, {found.refused:,} refused as too old"
    )
    if found.never_compared:
        mend = f" Give a longer look-back: --set live.lookback={found.lookback}." if found.lookback else ""
        typer.echo(
            f"{found.never_compared:,} values were never compared: not complete, or too old, at each pause.{mend}"
        )
    for each in found.differences:
        key = ", ".join(f"{column}={value}" for column, value in each.key.items())
        typer.echo(
            f"{each.feature} differs for {key} at {written_instant(each.time)}, "
            f"read at {written_instant(each.watermark)}:\n"
            f"  batch  {each.batch_bits} ({each.batch!r})\n"
            f"  stream {each.stream_bits} ({each.stream!r})\n"
            f"  {command(each.feature, each.request, each.time)}"
        )
    if len(found.differences) < found.mismatches:
        typer.echo(f"and {found.mismatches - len(found.differences):,} more")
