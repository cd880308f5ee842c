"""The options that several commands have, each declared once."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from modules.spec import Declaration, InputError, load_declaration
from modules.spec.instant import read_instant

if TYPE_CHECKING:
    from pipeline.engines.engine import Engine

DEFAULT_FEATURES = Path("schema/taxi/features.yaml")
DEFAULT_OUTPUT = Path("build")

Features = Annotated[Path, typer.Option(help="The declaration.", metavar="FILE")]
Set = Annotated[list[str], typer.Option("--set", help="Overrides a field: training.steps=200.", metavar="FIELD=VALUE")]
Data = Annotated[str, typer.Option(help="Other data: file, directory, glob or pattern.", metavar="PATH")]
Output = Annotated[Path, typer.Option(help="Where everything is written.", metavar="DIR")]
AsJson = Annotated[bool, typer.Option("--json", help="Prints one JSON object on standard output.")]
Debug = Annotated[bool, typer.Option(help="Shows the traceback of an error.")]
Store = Annotated[
    str,
    typer.Option(
        help="The online store: sqlite://PATH, redis://HOST:PORT/DB or bigtable://PROJECT/INSTANCE/TABLE.",
        metavar="URL",
    ),
]
DeadLetters = Annotated[
    str, typer.Option(help="Where what does not count goes: a directory, or a topic's URL.", metavar="PLACE")
]
Events = Annotated[
    list[str],
    typer.Option(help="Recorded events, of a source: file, directory or glob.", metavar="[SOURCE=]PATH"),
]
FlinkMaster = Annotated[
    str, typer.Option(help="The job manager; without it, a cluster for this job alone.", metavar="HOST:PORT")
]
Parallelism = Annotated[int, typer.Option(help="Flink's task slots for the job.", min=1)]
RUNNER = typer.Option(help="Where the Beam job runs: in this process, or elsewhere.")
Runner = Annotated[Literal["local", "dataflow", "flink"], RUNNER]
Dataflow = Annotated[Path, typer.Option(help="Settings of jobs on Dataflow.", metavar="FILE")]
DataflowSet = Annotated[
    list[str], typer.Option("--dataflow-set", help="Overrides a setting: max_workers=20.", metavar="FIELD=VALUE")
]
JobName = Annotated[str, typer.Option(help="The job's name on Dataflow; DATASET-COMMAND if left out.", metavar="NAME")]

DEFAULT_DATAFLOW = Path("dataflow.yaml")
DEFAULT_STORE = f"sqlite://{DEFAULT_OUTPUT}/online.db"
DEFAULT_DEAD_LETTERS = f"{DEFAULT_OUTPUT}/dead_letters"


def instant(text: str) -> int:
    """A time on the command line, in microseconds since 1970-01-01T00:00:00Z; without an offset it is UTC."""
    try:
        return read_instant(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r}; accepted: a time such as 2016-06-01T12:30:00Z.") from None


def load(features: Path, overrides: list[str], data: str = "") -> Declaration:
    """The declaration with its overrides; `--data` is one of them."""
    return load_declaration(features, [*overrides, *([f"data={json.dumps(data)}"] if data else [])])


def dataflow_only(dataflow: Path, **given: object) -> None:
    """Refuses options that say something to Dataflow alone.

    Raises:
      BadParameter: One is given.
    """
    given["dataflow"] = dataflow != DEFAULT_DATAFLOW
    if named := [f"--{name.replace('_', '-')}" for name, value in given.items() if value]:
        raise typer.BadParameter("these go with --runner dataflow.", param_hint=", ".join(named))


def job_name_of(declaration: Declaration, given: str, command: str) -> str:
    """The name of a job on Dataflow: the given one, or one of the dataset and the command.

    Raises:
      InputError: Dataflow accepts no such name.
    """
    name = given or f"{declaration.dataset.replace('_', '-')}-{command}".lower()
    if not re.fullmatch("[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name):
        raise InputError(
            f"--job-name {name}: accepted: up to 63 of a-z, 0-9 and -, with a letter first and no - at the end."
        )
    return name


def by_source(declaration: Declaration, given: list[str], option: str) -> dict[str, list[str]]:
    """`SOURCE=PLACE` options by source; without `SOURCE=` it is for the only source.

    Raises:
      InputError: There is no such source, or several that it could be for.
    """
    sources = list(declaration.live.sources) if declaration.live else []
    found: dict[str, list[str]] = {}
    for each in given:
        name, equals, place = each.partition("=")
        if not equals or name not in sources:
            if len(sources) != 1 or (equals and "/" not in name and "." not in name):
                from pipeline.sources.urls import without_password

                shown, names = without_password(each), ", ".join(sources)
                raise InputError(f"{option} {shown}: accepted: SOURCE=PLACE with a source out of {names}.")
            name, place = sources[0], each
        found.setdefault(name, []).append(place)
    return found


def engine_of(runner: str, flink_master: str, parallelism: int) -> "Engine":
    """The engine that the options name.

    Raises:
      InputError: An option of Flink is given to the local runner, or Flink is not there.
    """
    from pipeline.engines.engine import LOCAL
    from pipeline.engines.flink import EMBEDDED, Flink

    if runner == "flink":
        return Flink(flink_master or EMBEDDED, parallelism).engine()
    if flink_master or parallelism > 1:
        raise InputError("--flink-master and --parallelism are for --runner flink. Leave them, or give it, too.")
    return LOCAL
