"""The commands around the online store: stream, bootstrap, read, store, deadletters."""

import dataclasses
import datetime
import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from modules.spec import Declaration, InputError, OutputError
from pipeline.cli.failures import Failures, ending
from pipeline.cli.interrupt import INTERRUPTED, interrupt_ends
from pipeline.cli.options import (
    DEFAULT_DATAFLOW,
    DEFAULT_DEAD_LETTERS,
    DEFAULT_FEATURES,
    DEFAULT_STORE,
    Dataflow,
    DataflowSet,
    DeadLetters,
    Debug,
    Events,
    Features,
    FlinkMaster,
    JobName,
    Parallelism,
    Runner,
    Set,
    Store,
    by_source,
    dataflow_only,
    engine_of,
    job_name_of,
    load,
)

app = typer.Typer()
store_app = typer.Typer(help="Looks after an online store.", no_args_is_help=True)
letters_app = typer.Typer(help="Lists and replays what did not count.", no_args_is_help=True)
app.add_typer(store_app, name="store")
app.add_typer(letters_app, name="deadletters")

Sources = Annotated[
    list[str],
    typer.Option(
        "--source",
        help="Where a stream is: file://PATH, pubsub://PROJECT/SUBSCRIPTION or kafka://BROKERS/TOPIC.",
        metavar="[SOURCE=]URL",
    ),
]
Shards = Annotated[
    int, typer.Option(help="Parts of each entity's keys on Dataflow: as many threads merge at most.", min=1, max=10_000)
]
DEFAULT_SHARDS = 64
BatchEvents = Annotated[int, typer.Option(help="Events merged at once at most.", min=1)]


def only_errors_of_ours(debug: bool) -> None:
    """Keeps Beam from logging the traceback of what is told in one line."""
    if not debug:
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)


def make_directory(store: str) -> None:
    """Makes the directory of a SQLite file; that of the default store is made by a run, which need not have been."""
    if store.startswith("sqlite://"):
        directory = Path(store.removeprefix("sqlite://")).parent
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{directory}: cannot be made: {error.strerror}. Name another --store.") from None


def one_each(declaration: Declaration, given: list[str], option: str) -> dict[str, str]:
    """The one place that each source is given, as `by_source` reads them."""
    if declaration.live is None:
        return {}  # who opens the sources says so
    found = by_source(declaration, given, option)
    if several := [source for source, places in found.items() if len(places) > 1]:
        raise InputError(f"{option}: {several[0]} is there {len(found[several[0]])} times. Leave one.")
    return {source: places[0] for source, places in found.items()}


@app.command("stream")
def stream_command(
    features: Features = DEFAULT_FEATURES,
    overrides: Set = [],  # noqa: B006 (typer reads it)
    sources: Sources = [],  # noqa: B006
    store: Store = DEFAULT_STORE,
    dead_letters: DeadLetters = DEFAULT_DEAD_LETTERS,
    batch_events: BatchEvents = 20_000,
    metrics_port: Annotated[
        int, typer.Option(help="Port for Prometheus on /metrics, and readiness on /ready; 0: none.", min=0, max=65535)
    ] = 0,
    metrics_host: Annotated[str, typer.Option(help="The address that this port is on.")] = "127.0.0.1",
    runner: Runner = "local",
    dataflow: Dataflow = DEFAULT_DATAFLOW,
    dataflow_set: DataflowSet = [],  # noqa: B006
    job_name: JobName = "",
    shards: Shards = DEFAULT_SHARDS,
    update: Annotated[bool, typer.Option("--update", help="Replaces the running job of that name.")] = False,
    flink_master: FlinkMaster = "",
    parallelism: Parallelism = 1,
    debug: Debug = False,
) -> None:
    """Keeps the online store fresh from the streams, until they end or SIGTERM drains it; on Dataflow, starts a job."""
    if runner != "dataflow":
        named = {
            "dataflow_set": dataflow_set,
            "job_name": job_name,
            "update": update,
            "shards": shards != DEFAULT_SHARDS,
        }
        dataflow_only(dataflow, **named)
    elif metrics_port:
        raise typer.BadParameter("workers of Dataflow have counters of their own.", param_hint="--metrics-port")
    with ending(Failures(debug)):
        declaration = load(features, overrides)
        urls = one_each(declaration, sources, "--source")
        only_errors_of_ours(debug)
        if runner == "dataflow":
            typer.echo(
                json.dumps(
                    _submit(declaration, urls, store, dead_letters, dataflow, dataflow_set, job_name, shards,
                            batch_events, update)
                )
            )  # fmt: skip
            return
        make_directory(store)
        from pipeline.jobs.stream import sources_of, stream
        from pipeline.live.metrics_server import metrics_server
        from pipeline.live.place import Place

        engine = engine_of(runner, flink_master, parallelism)
        opened = sources_of(declaration, urls)
        with metrics_server(metrics_port, metrics_host) as port:
            if port:
                typer.echo(f"metrics on http://{metrics_host}:{port}/metrics", err=True)
            place = Place(store, declaration.features_fingerprint)
            counts = stream(declaration, opened, place, dead_letters, batch_events, True, engine)
        typer.echo(json.dumps(dataclasses.asdict(counts)))


def _submit(
    declaration: Declaration,
    urls: dict[str, str],
    store: str,
    dead_letters: str,
    dataflow: Path,
    dataflow_set: list[str],
    job_name: str,
    shards: int,
    batch_events: int,
    update: bool,
) -> dict[str, str | None]:
    from pipeline.engines.dataflow import load_settings
    from pipeline.engines.dataflow_jobs import running_job
    from pipeline.jobs.stream import sources_of
    from pipeline.jobs.stream_on_dataflow import submit
    from pipeline.live.place import Place

    settings = load_settings(dataflow, dataflow_set)
    name = job_name_of(declaration, job_name, "stream")
    arguments = settings.streaming_args(name)
    if update:
        replaced = running_job(settings, name)
        arguments.append("--update")
    place = Place(store, declaration.features_fingerprint)
    job = submit(declaration, sources_of(declaration, urls), place, dead_letters, shards, batch_events, arguments)
    return {"job": job, "name": name} | ({"replaces": replaced} if update else {})


@app.command("bootstrap")
def bootstrap_command(
    features: Features = DEFAULT_FEATURES,
    overrides: Set = [],  # noqa: B006
    events: Events = [],  # noqa: B006
    until: Annotated[str, typer.Option(help="Only events ingested before: 2016-03-01T00:00:00Z.", metavar="TIME")] = "",
    store: Store = DEFAULT_STORE,
    dead_letters: DeadLetters = DEFAULT_DEAD_LETTERS,
    batch_events: BatchEvents = 20_000,
    debug: Debug = False,
) -> None:
    """Fills a store with history, for a stream to go on from."""
    with ending(Failures(debug)):
        declaration = load(features, overrides)
        make_directory(store)
        only_errors_of_ours(debug)
        from pipeline.jobs.bootstrap import bootstrap
        from pipeline.live.place import Place

        paths = by_source(declaration, events, "--events")
        place = Place(store, declaration.features_fingerprint)
        with interrupt_ends(_interrupted):
            counts = bootstrap(declaration, paths, _micros(until) if until else None, place, dead_letters, batch_events)
        typer.echo(json.dumps(dataclasses.asdict(counts)))


def _interrupted() -> int:
    typer.echo("interrupted; start it again, and it goes on where it was.", err=True)
    return INTERRUPTED


def _micros(text: str) -> int:
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise InputError(f"--until {text}: accepted: a date and time with an offset, such as 2016-03-01T00:00:00Z.")
    return (time - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)


@app.command("read")
def read_command(
    requests: Annotated[str, typer.Option(help="Rows to ask for: file, directory or glob.", metavar="PATH")],
    output: Annotated[Path, typer.Option(help="The Parquet file to write.", metavar="FILE")],
    features: Features = DEFAULT_FEATURES,
    overrides: Set = [],  # noqa: B006
    store: Store = DEFAULT_STORE,
    debug: Debug = False,
) -> None:
    """Answers requests from an online store, with status and completeness of each value."""
    with ending(Failures(debug, output=output)):
        declaration = load(features, overrides)
        from pipeline.jobs.read import read

        typer.echo(json.dumps(dataclasses.asdict(read(declaration, store, requests, output))))


@store_app.command("list")
def store_list(store: Store = DEFAULT_STORE, debug: Debug = False) -> None:
    """The namespaces of a store: features fingerprints, rows and bytes."""
    with ending(Failures(debug)):
        from pipeline.stores.urls import list_namespaces, open_store

        for namespace in list_namespaces(store):
            with open_store(store, namespace) as opened:
                rows, size = opened.size()
            typer.echo(f"{namespace}  {rows:,} rows  {size:,} bytes")


@store_app.command("drop")
def store_drop(
    namespace: Annotated[str, typer.Argument(help="As `store list` prints it, or its first digits.")],
    store: Store = DEFAULT_STORE,
    debug: Debug = False,
) -> None:
    """Removes the rows of a declaration that nobody reads any more."""
    with ending(Failures(debug)):
        from pipeline.stores.urls import drop_namespace, list_namespaces

        there = list_namespaces(store)
        found = [each for each in there if namespace and each.startswith(namespace)]
        if len(found) != 1:
            raise InputError(f"{namespace}: {len(found)} namespaces start so; there are: {', '.join(there) or 'none'}.")
        drop_namespace(store, found[0])
        typer.echo(f"dropped {found[0]}")


@letters_app.command("list")
def letters_list(
    place: Annotated[str, typer.Argument(help="The directory.")] = DEFAULT_DEAD_LETTERS,
    show: Annotated[int, typer.Option(help="How many to print in full.", min=0)] = 0,
    debug: Debug = False,
) -> None:
    """Counts dead letters by source and reason."""
    with ending(Failures(debug)):
        from pipeline.dead_letters import LetterDirectory

        directory = LetterDirectory(place)
        for (source, reason), count in sorted(directory.counts().items()):
            typer.echo(f"{source}  {reason}  {count:,}")
        for letter, _ in zip(directory.read(), range(show), strict=False):
            typer.echo(letter.to_json())


@letters_app.command("replay")
def letters_replay(
    place: Annotated[str, typer.Argument(help="The directory.")] = DEFAULT_DEAD_LETTERS,
    features: Features = DEFAULT_FEATURES,
    overrides: Set = [],  # noqa: B006
    store: Store = DEFAULT_STORE,
    debug: Debug = False,
) -> None:
    """Gives what can be replayed to the store again, as it is declared now; what counts is removed."""
    with ending(Failures(debug)):
        declaration = load(features, overrides)
        only_errors_of_ours(debug)
        from pipeline.jobs.stream import stream
        from pipeline.live.letters import letter_sources
        from pipeline.live.place import Place

        place_of_rows = Place(store, declaration.features_fingerprint)
        with interrupt_ends(_interrupted):
            counts = stream(declaration, letter_sources(declaration, place), place_of_rows, place)
        typer.echo(json.dumps(dataclasses.asdict(counts)))
