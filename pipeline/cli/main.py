"""Trains, evaluates and pushes a model whose features are the same in training and in serving.

Exit codes: 0 done; 1 unexpected error; 2 wrong options; 3 declaration; 4 data or request; 5 anomalies in the data;
6 model not blessed; 7 output cannot be written; 8 another run holds the output; 9 not found;
10 store unavailable; 11 source unavailable; 12 features or scores differ between training and serving;
130 interrupted.
"""

import contextlib
import datetime
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from pipeline.cli import compiling, live, model_server
from pipeline.cli.backfill import backfill_command
from pipeline.cli.dataflow import dataflow_app
from pipeline.cli.doctor import doctor_command
from pipeline.cli.explain import explain_command
from pipeline.cli.failures import Failures, ending
from pipeline.cli.features import features_app
from pipeline.cli.gate import gate_command
from pipeline.cli.interrupt import interrupt_ends
from pipeline.cli.options import (
    DEFAULT_DATAFLOW,
    DEFAULT_FEATURES,
    DEFAULT_OUTPUT,
    RUNNER,
    AsJson,
    Data,
    Dataflow,
    DataflowSet,
    Debug,
    Features,
    JobName,
    Output,
    Set,
    dataflow_only,
    job_name_of,
    load,
)
from pipeline.cli.predict import predict_command
from pipeline.cli.progress import TerminalProgress
from pipeline.cli.quiet import noise_to
from pipeline.cli.replay import replay_command
from pipeline.cli.serve import serve_command
from pipeline.cli.summary import print_differences, print_summary
from pipeline.cli.up import up_command
from pipeline.engines.dataflow import load_settings
from pipeline.local_run import RunSettings, accept_schema, run
from pipeline.serving import versions
from pipeline.workspace import Workspace

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
schema_app = typer.Typer(help="Looks after the curated schema.", no_args_is_help=True)
app.add_typer(schema_app, name="schema")
app.command("backfill")(backfill_command)
app.add_typer(compiling.app, name="compile")
app.command("doctor")(doctor_command)
app.command("explain")(explain_command)
app.add_typer(dataflow_app, name="dataflow")
app.add_typer(live.app)
app.add_typer(model_server.app)
app.add_typer(features_app, name="features")
app.command("gate")(gate_command)
app.command("predict")(predict_command)
app.command("replay")(replay_command)
app.command("serve")(serve_command)
app.command("up")(up_command)


@contextlib.contextmanager
def _watched(settings: RunSettings, debug: bool, as_json: bool) -> Iterator[tuple[Console, TerminalProgress]]:
    """Holds the workspace and keeps its noise in a log; gives the console to print on and the progress to report to."""
    workspace = settings.workspace
    serving = workspace.serving(settings.declaration.dataset)
    failures = Failures(debug, as_json, workspace.output, serving)
    with ending(failures), workspace.hold():
        started = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
        log = workspace.logs / f"{started}.log"
        with noise_to(log) as files:
            out, err = (Console(file=file) for file in files)
            progress = TerminalProgress(err if as_json else out)

            def interrupted() -> int:
                progress.close()
                versions.remove_abandoned(serving)
                return failures.show(KeyboardInterrupt(), out, err, log)

            with ending(failures, out, err, log), interrupt_ends(interrupted):
                try:
                    if not as_json:
                        out.print(f"log: {log}", highlight=False, soft_wrap=True)
                    yield out, progress
                finally:
                    progress.close()


@app.command("run")
def run_command(
    features: Features = DEFAULT_FEATURES,
    data: Data = "",
    overrides: Set = [],  # noqa: B006 (typer reads it)
    output: Output = DEFAULT_OUTPUT,
    tune: Annotated[int, typer.Option(help="Sets of hyperparameters to try; 0: none.", min=0)] = 0,
    keep: Annotated[int, typer.Option(help="Versions, and runs' artifacts, to keep.", min=1)] = 3,
    cache: Annotated[bool, typer.Option(help="Reuses what has not changed.")] = True,
    runner: Annotated[Literal["local", "dataflow"], RUNNER] = "local",
    dataflow: Dataflow = DEFAULT_DATAFLOW,
    dataflow_set: DataflowSet = [],  # noqa: B006
    job_name: JobName = "",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Trains, evaluates and pushes a model: the whole pipeline, on this machine, or with its Beam jobs on Dataflow."""
    if runner == "local":
        dataflow_only(dataflow, dataflow_set=dataflow_set, job_name=job_name)
    with ending(Failures(debug, as_json, output)):
        declaration = load(features, overrides, data)
        beam_args: tuple[str, ...] = ()
        if runner == "dataflow":
            name = job_name_of(declaration, job_name, "run")
            beam_args = (*load_settings(dataflow, dataflow_set).beam_args(name), "--beam_plugins=tfx")
    where = _unless_default("--features", features, DEFAULT_FEATURES)
    sets = [word for each in overrides for word in ("--set", each)]
    same = [*where, *sets, *(["--set", f"data={json.dumps(data)}"] if data else [])]
    where += _unless_default("--output", output, DEFAULT_OUTPUT)
    accept = shlex.join(
        ["uv", "run", "twinbeam", "schema", "accept", *where, *(["--data", data] if data else []), *sets]
    )
    schema_file, workspace = features.parent / "schema.pbtxt", Workspace(output)
    settings = RunSettings(declaration, schema_file, workspace, tune, keep, cache, tuple(same), beam_args, accept)
    with _watched(settings, debug, as_json) as (console, progress):
        record, ran = run(settings, progress)
        progress.close()
        if as_json:
            _print_json(console, {"ran": ran} | record.model_dump(mode="json"))
        else:
            print_summary(console, record, settings.workspace, where, ran)


@app.command()
def validate(
    features: Features = DEFAULT_FEATURES,
    overrides: Set = [],  # noqa: B006
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Checks a declaration alone."""
    with ending(Failures(debug, as_json)):
        declaration = load(features, overrides, "")
        if as_json:
            typer.echo(json.dumps({"dataset": declaration.dataset, "fingerprint": declaration.fingerprint}))
        else:
            typer.echo(
                f"{features}: valid; {len(declaration.columns)} columns, {len(declaration.features)} features, "
                f"{len(declaration.live_features)} of them live."
            )


@schema_app.command("accept")
def accept_command(
    features: Features = DEFAULT_FEATURES,
    data: Data = "",
    overrides: Set = [],  # noqa: B006
    output: Output = DEFAULT_OUTPUT,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Takes the data as it is into the curated schema beside the declaration."""
    with ending(Failures(debug, as_json, output)):
        declaration = load(features, overrides, data)
    settings = RunSettings(declaration, features.parent / "schema.pbtxt", Workspace(output), 0, 1, True)
    with _watched(settings, debug, as_json) as (console, progress):
        changes = accept_schema(settings, progress)
        progress.close()
        if as_json:
            rows = [dict(zip(("feature", "before", "after"), change, strict=True)) for change in changes]
            _print_json(console, {"schema": str(settings.schema_file), "changes": rows})
        else:
            print_differences(console, changes, settings.schema_file)


@app.command()
def rollback(
    features: Features = DEFAULT_FEATURES,
    output: Output = DEFAULT_OUTPUT,
    to: Annotated[int, typer.Option(help="The version to go back to; 0: the one before the newest model's.")] = 0,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Makes an earlier version of the model the newest again."""
    workspace = Workspace(output)
    with ending(Failures(debug, as_json, output)):
        base = workspace.serving(load(features, [], "").dataset)
        versions.newest(base)  # where there is none, no output directory is made
        with workspace.hold():
            earlier, version = versions.rollback(base, to or None)
        if as_json:
            typer.echo(json.dumps({"from": earlier, "version": version, "model": str(base / str(version))}))
        else:
            typer.echo(f"version {version} is the newest, a copy of version {earlier}: {base / str(version)}")


def _unless_default(option: str, given: Path, default: Path) -> list[str]:
    return [] if given == default else [option, str(given)]


def _print_json(console: Console, result: dict[str, Any]) -> None:
    console.print(json.dumps(result), highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    app()
