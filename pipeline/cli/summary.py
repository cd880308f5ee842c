"""What a person sees at the end of a command."""

import json
import shlex
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.results.ablation import phrase
from pipeline.results.record import RunRecord
from pipeline.serving.versions import newest
from pipeline.workspace import Workspace


def print_summary(console: Console, record: RunRecord, workspace: Workspace, where: list[str], ran: bool) -> None:
    """The end of a run.

    Args:
      console: Where it is printed.
      record: The run's, or the last one's if nothing ran.
      workspace: The run's.
      where: The options with which another command finds the model.
      ran: Whether anything ran.
    """
    if not ran:
        current = newest(workspace.serving(record.dataset))
        _line(console, f"Nothing has changed since the run of {record.run_id}; nothing was run, nothing was pushed.")
        _line(console, f"model   {current}")
        _line(console, "--no-cache runs everything.")
        return
    # Without a frame it fits into 80 columns.
    table = Table(title=f"{record.dataset}, version {record.version}", title_justify="left", box=None, pad_edge=False)
    table.add_column("rows", justify="right")
    for name in record.metrics:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("time", justify="right")
    table.add_row(
        f"{sum(record.rows.values()):,}",
        *(f"{value:.4f}" for value in record.metrics.values()),
        f"{record.seconds:.0f} s",
    )
    console.print(table)
    if record.live_features:
        found = phrase(record.ablation) if record.ablation else "--set evaluation.ablation_seeds=5 shows what they add"
        _line(console, f"live    {record.live_features} features; {found}")
    for each in record.not_counted:
        _line(console, f"warning: not counted: {each}")
    _line(console, f"model   {record.model}")
    _line(console, f"report  {workspace.report}")
    _line(
        console,
        "ask it  " + shlex.join(["uv", "run", "twinbeam", "predict", *where, "--json", json.dumps(record.example)]),
    )


def print_differences(console: Console, changes: list[tuple[str, str, str]], schema_file: Path) -> None:
    """What a schema took in."""
    if not changes:
        _line(console, f"{schema_file}: the data is already in it; nothing changed.")
        return
    table = Table("feature", "before", "after", title=str(schema_file), title_justify="left")
    for change in changes:
        table.add_row(*change)
    console.print(table)


def _line(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
