"""`twinbeam dataflow`: what a streaming job on Dataflow needs beside its start."""

import json

import typer

from pipeline.cli.failures import Failures, ending
from pipeline.cli.options import (
    DEFAULT_DATAFLOW,
    DEFAULT_FEATURES,
    DEFAULT_STORE,
    Dataflow,
    DataflowSet,
    Debug,
    Features,
    JobName,
    Set,
    Store,
    job_name_of,
    load,
)

dataflow_app = typer.Typer(help="Looks after the streaming job on Google Cloud Dataflow.", no_args_is_help=True)


@dataflow_app.command("drain")
def drain_command(
    features: Features = DEFAULT_FEATURES,
    overrides: Set = [],  # noqa: B006 (typer reads it)
    store: Store = DEFAULT_STORE,
    dataflow: Dataflow = DEFAULT_DATAFLOW,
    dataflow_set: DataflowSet = [],  # noqa: B006
    job_name: JobName = "",
    debug: Debug = False,
) -> None:
    """Ends the streaming job once what it has read is merged."""
    with ending(Failures(debug)):
        declaration = load(features, overrides)
        from pipeline.engines.dataflow import load_settings
        from pipeline.engines.dataflow_jobs import drain, running_job
        from pipeline.jobs.stream_on_dataflow import freeze
        from pipeline.live.place import Place

        settings = load_settings(dataflow, dataflow_set)
        name = job_name_of(declaration, job_name, "stream")
        job = running_job(settings, name)
        # Before: a job that is drained takes everything for merged, also what it has not read.
        freeze(Place(store, declaration.features_fingerprint), name)
        drain(settings, job)
        typer.echo(json.dumps({"job": job, "name": name, "draining": True}))


@dataflow_app.command("template")
def template_command(
    dataflow: Dataflow = DEFAULT_DATAFLOW,
    dataflow_set: DataflowSet = [],  # noqa: B006
    debug: Debug = False,
) -> None:
    """Prints the spec of the streaming job's Flex Template, to be put into a bucket."""
    with ending(Failures(debug)):
        from pipeline.cli.stream_template import spec
        from pipeline.engines.dataflow import load_settings

        typer.echo(spec(load_settings(dataflow, dataflow_set)), nl=False)
