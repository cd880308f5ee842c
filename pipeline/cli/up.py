"""`twinbeam up`: everything that serves, on one machine, over a replay of the evaluation part."""

import logging
import signal
from typing import Annotated

import typer
from rich.console import Console

from pipeline.cli.failures import Failures, ending
from pipeline.cli.interrupt import INTERRUPTED
from pipeline.cli.options import DEFAULT_FEATURES, DEFAULT_OUTPUT, Debug, Features, Output, Store, load
from pipeline.cli.progress import TerminalProgress
from pipeline.workspace import Workspace


def up_command(
    features: Features = DEFAULT_FEATURES,
    output: Output = DEFAULT_OUTPUT,
    store: Store = "",
    speed: Annotated[
        float, typer.Option(help="Seconds of the replay a second; 21600: six hours.", min=0.001, max=1e9)
    ] = 21_600,
    port: Annotated[int, typer.Option(help="The page's port; 0: a free one.", min=0, max=65535)] = 8600,
    debug: Debug = False,
) -> None:
    """Starts store, stream, model server and gateway over a replay, with a page to look at; after `make run`.

    The store (a fresh SQLite file, if none is named) is filled with what came before the evaluation part of the rows,
    and that part is replayed as a live stream. Ctrl-C stops everything.
    """
    with ending(Failures(debug, output=output)):
        declaration = load(features, [])
        console = Console()
        progress = TerminalProgress(console)
        from pipeline.up.settings import UpSettings
        from pipeline.up.stop import Stopped
        from pipeline.up.up import up

        def ready(url: str) -> None:
            progress.close()
            console.print(f"page    {url}\nCtrl-C stops everything.", highlight=False, soft_wrap=True)

        logging.getLogger("httpx").setLevel(logging.WARNING)
        try:
            up(UpSettings(features, declaration, Workspace(output), store, speed, port), progress, ready)
        except Stopped as stopped:
            raise typer.Exit(INTERRUPTED if stopped.number == signal.SIGINT else 0) from None
        finally:
            progress.close()
