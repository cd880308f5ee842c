"""The command that serves models over TensorFlow Serving's protocol."""

import gc
import importlib.metadata
import logging
import os
import signal
import sys

import typer

app = typer.Typer()

_START_FAILED = 255  # what a shell sees of upstream's -1


@app.command(
    "model-server",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def model_server_command(context: typer.Context) -> None:
    """Serves models over TensorFlow Serving's protocol, with its flags: --name=value. `--help` lists them."""
    from pipeline.serving.model_server import flags

    parsed = flags.parse(context.args)
    if not parsed.valid:
        typer.echo(flags.usage("twinbeam model-server"), nl=False)
        raise typer.Exit(_START_FAILED)
    if parsed.flags.version:
        typer.echo(f"TensorFlow ModelServer: {importlib.metadata.version('tensorflow-serving-api')}")
        typer.echo(f"TensorFlow Library: {importlib.metadata.version('tensorflow')}")
        return
    if parsed.unknown:
        typer.echo(f"unknown argument: {parsed.unknown[0]}\n{flags.usage('twinbeam model-server')}", nl=False)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    from pipeline.serving.model_server.server import ModelServer
    from pipeline.serving.model_server.status import ServingError

    try:
        server = ModelServer(parsed.flags, os.environ.get(flags.HOST_VARIABLE, flags.EVERY_INTERFACE))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.interrupt())
        server.start()
    except ServingError as error:
        typer.echo(f"Failed to start server. Error: {error}")
        raise typer.Exit(_START_FAILED) from None
    gc.freeze()  # what is loaded stays; to look it through again would hold up requests for a quarter of a second
    server.wait()
    server.stop()


if __name__ == "__main__":
    app()
