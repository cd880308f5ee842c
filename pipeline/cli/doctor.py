"""`twinbeam doctor`: what is there for each engine, and how to mend what is not."""

import dataclasses
import json

import typer

from pipeline.cli.options import DEFAULT_STORE, AsJson, FlinkMaster, Store


def doctor_command(
    store: Store = DEFAULT_STORE,
    flink_master: FlinkMaster = "",
    as_json: AsJson = False,
) -> None:
    """Tells what is installed and reachable for each engine; exit code 0 whatever is missing."""
    from pipeline.doctor import examine

    found = examine(store, flink_master)
    if as_json:
        typer.echo(json.dumps({"findings": [dataclasses.asdict(finding) for finding in found]}))
        return
    for finding in found:
        typer.echo(f"{finding.engine:<11} {finding.part:<18} {'ok' if finding.there else '--'}  {finding.says}")
