"""`twinbeam predict`: what the pushed model says, of rows on the command line or in files."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from pipeline.cli.failures import Failures, ending
from pipeline.cli.interrupt import interrupt_ends
from pipeline.cli.options import (
    DEFAULT_DATAFLOW,
    DEFAULT_FEATURES,
    DEFAULT_OUTPUT,
    RUNNER,
    Dataflow,
    DataflowSet,
    Debug,
    Events,
    Features,
    JobName,
    Output,
    Set,
    Store,
    by_source,
    dataflow_only,
    job_name_of,
    load,
)
from pipeline.cli.quiet import noise_to
from pipeline.engines.dataflow import load_settings
from pipeline.engines.engine import LOCAL, Engine
from pipeline.serving import versions
from pipeline.whole_directory import clear
from pipeline.workspace import Workspace


def predict_command(
    json_rows: Annotated[
        str | None, typer.Option("--json", help="A JSON object of features by name, or an array.", metavar="JSON")
    ] = None,
    requests: Annotated[
        str | None, typer.Option(help="Rows to score: file, directory or glob.", metavar="PATH", show_default=False)
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="Where their scores are written, as Parquet; must not exist.", metavar="DIR")
    ] = None,
    events: Events = [],  # noqa: B006 (typer reads it)
    store: Store = "",
    batch_size: Annotated[
        int | None, typer.Option(help="Rows that the model gets at once at most; 1024 if left out.", min=1)
    ] = None,
    features: Features = DEFAULT_FEATURES,
    overrides: Set = [],  # noqa: B006
    output: Output = DEFAULT_OUTPUT,
    runner: Annotated[Literal["local", "dataflow"], RUNNER] = "local",
    dataflow: Dataflow = DEFAULT_DATAFLOW,
    dataflow_set: DataflowSet = [],  # noqa: B006
    job_name: JobName = "",
    version: Annotated[int, typer.Option(help="The version to ask; 0: the newest.")] = 0,
    debug: Debug = False,
) -> None:
    """Asks the pushed model, in this process or on Dataflow; prints one JSON object.

    Live features of rows in files are computed from recorded events (--events; else the declared history), or read from
    an online store (--store).
    """
    if (json_rows is None) == (requests is None):
        raise typer.BadParameter("give one of them: rows as JSON, or files of rows.", param_hint="--json, --requests")
    if json_rows is not None and (to or events or store or batch_size):
        raise typer.BadParameter("these go with --requests.", param_hint="--to, --events, --store, --batch-size")
    if requests is not None and to is None:
        raise typer.BadParameter("name the directory to write.", param_hint="--to")
    if events and store:
        raise typer.BadParameter("give one of them, or none.", param_hint="--events, --store")
    if runner == "local":
        dataflow_only(dataflow, dataflow_set=dataflow_set, job_name=job_name)
    elif requests is None:
        raise typer.BadParameter("these go with --requests.", param_hint="--runner")
    failures = Failures(debug, as_json=True, output=Path(to) if to else output)
    with ending(failures):
        declaration = load(features, overrides)
        base = Workspace(output).serving(declaration.dataset)
        model = versions.one(base, version) if version else versions.newest(base)
        engine = LOCAL
        if runner == "dataflow":
            name = job_name_of(declaration, job_name, "predict")
            engine = Engine(tuple(load_settings(dataflow, dataflow_set).beam_args(name)))
        with noise_to(Path("/dev/null")) as files:
            out, err = (Console(file=file) for file in files)

            def interrupted() -> int:
                if to is not None:
                    clear(Path(to))
                return failures.show(KeyboardInterrupt(), out, err, None)

            with ending(failures, out, err), interrupt_ends(interrupted):
                if json_rows is not None:
                    from pipeline.serving.predict import predict as ask

                    said: dict[str, Any] = {"score": ask(model, json_rows)}
                else:
                    from pipeline.prediction.predict import predict

                    assert requests is not None
                    assert to is not None
                    places: Mapping[str, Sequence[str]] = dict.fromkeys(events, ())
                    if declaration.live:  # else who predicts says that there are none
                        places = by_source(declaration, events, "--events")
                    predicted = predict(
                        declaration, model, requests, to, places, store or None, batch_size or 1024, engine
                    )
                    said = dataclasses.asdict(predicted) | {"output": str(to)}
    typer.echo(json.dumps({"model": str(model)} | said))
