"""`twinbeam gate`: the checks of the gate, of any pushed model on any rows."""

import contextlib
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from modules.spec import ParityError
from pipeline.cli.failures import Failures, ending
from pipeline.cli.interrupt import interrupt_ends
from pipeline.cli.options import DEFAULT_FEATURES, AsJson, Debug, Events, Features, Set, by_source, load
from pipeline.cli.quiet import noise_to

if TYPE_CHECKING:
    from pipeline.parity.check import Check

_SHOWN = 3
"""How many differences of a check are printed; `--json` has the first ten."""


def gate_command(
    model: Annotated[Path, typer.Option(help="The directory of a version of the model.", metavar="DIR")],
    data: Annotated[str, typer.Option(help="Rows: file, directory, glob or pattern.", metavar="PATH")],
    features: Features = DEFAULT_FEATURES,
    overrides: Set = [],  # noqa: B006 (typer reads it)
    events: Events = [],  # noqa: B006
    rows: Annotated[str, typer.Option(help="How many rows, or all; else gate.rows.", metavar="N")] = "",
    model_server: Annotated[
        str, typer.Option(help="A running model server to ask too: its gRPC port.", metavar="HOST:PORT")
    ] = "",
    model_name: Annotated[str, typer.Option(help="The model's name there; else the dataset's.", metavar="NAME")] = "",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Compares what a model gives in serving with what training has, on any rows; exit code 12 if not the same."""
    failures = Failures(debug, as_json)
    with ending(failures):
        declaration = load(features, [*overrides, *([f"gate.rows={rows}"] if rows else [])])
        places: Mapping[str, Sequence[str]] = dict.fromkeys(events, ())
        if declaration.live:  # else batch prediction says that there are none
            places = by_source(declaration, events, "--events")
        with noise_to(Path("/dev/null")) as files:
            out, err = (Console(file=file) for file in files)
            with ending(failures, out, err), interrupt_ends(lambda: failures.show(KeyboardInterrupt(), out, err, None)):
                from pipeline.parity.by_hand import judge_by_hand
                from pipeline.parity.remote import Remote

                remote = Remote(model_server, model_name or declaration.dataset) if model_server else None
                with contextlib.closing(remote) if remote else contextlib.nullcontext():
                    checks = judge_by_hand(declaration, model, data, places, remote)
    passed = all(check.passed for check in checks)
    if as_json:
        found = [dataclasses.asdict(check) for check in checks]
        typer.echo(json.dumps({"model": str(model), "passed": passed, "checks": found}))
    else:
        for check in checks:
            _print(check)
    if not passed:
        raise typer.Exit(ParityError.exit_code)


def _print(check: "Check") -> None:
    typer.echo(f"{'passed' if check.passed else 'FAILED'}  {check.name}: {check.sentence}")
    for difference in check.differences[:_SHOWN]:
        typer.echo(f"  {difference}")
        for more in filter(None, (difference.events, difference.explain)):
            typer.echo(f"    {more}")
