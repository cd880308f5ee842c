"""The commands that write the whole pipeline for an orchestrator."""

from pathlib import Path
from typing import Annotated

import typer

from modules.spec import OutputError
from pipeline.cli.failures import Failures, ending
from pipeline.cli.options import DEFAULT_FEATURES, Data, Debug, Features, Set, load
from pipeline.cli.quiet import noise_to
from pipeline.orchestration.cluster import read_kubeflow, read_vertex

app = typer.Typer(help="Writes the whole pipeline for an orchestrator.", no_args_is_help=True)

Settings = Annotated[Path, typer.Option(help="Images, buckets, resources.", metavar="FILE")]
Written = Annotated[Path, typer.Option(help="The file to write.", metavar="FILE")]
Tune = Annotated[int, typer.Option(help="Sets of hyperparameters to try; 0: none.", min=0)]


@app.command("vertex")
def vertex_command(
    features: Features = DEFAULT_FEATURES,
    data: Data = "",
    overrides: Set = [],  # noqa: B006 (typer reads it)
    settings: Settings = Path("deploy/vertex.yaml"),
    output: Written = Path("build/vertex.json"),
    tune: Tune = 0,
    debug: Debug = False,
) -> None:
    """For Vertex AI Pipelines: the body of the request that runs it."""
    with ending(Failures(debug, output=output)):
        declaration = load(features, overrides, data)
        where = read_vertex(settings)
        with noise_to(Path("/dev/null")):
            from pipeline.orchestration.compiled import vertex

            text = vertex(declaration, features.parent / "schema.pbtxt", tune, where)
        _write(text, output)
    typer.echo(f"{output}: send it to {where.address()}")


@app.command("kubeflow")
def kubeflow_command(
    features: Features = DEFAULT_FEATURES,
    data: Data = "",
    overrides: Set = [],  # noqa: B006
    settings: Settings = Path("deploy/kubeflow.yaml"),
    output: Written = Path("build/kubeflow.yaml"),
    tune: Tune = 0,
    debug: Debug = False,
) -> None:
    """For Kubeflow Pipelines: the file to upload."""
    with ending(Failures(debug, output=output)):
        declaration = load(features, overrides, data)
        where = read_kubeflow(settings)
        with noise_to(Path("/dev/null")):
            from pipeline.orchestration.compiled import kubeflow

            text = kubeflow(declaration, features.parent / "schema.pbtxt", tune, where)
        _write(text, output)
    typer.echo(f"{output}: upload it to Kubeflow Pipelines")


def _write(text: str, path: Path) -> None:
    """Raises OutputError where the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_text(text)
        part.rename(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}. Name another --output FILE.") from None
