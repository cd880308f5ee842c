"""The command that answers predictions, with live features looked up."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.cli.failures import Failures, ending
from pipeline.cli.options import DEFAULT_FEATURES, DEFAULT_STORE, Debug, Features, Set, Store, load


def serve_command(
    features: Features = DEFAULT_FEATURES,
    overrides: Set = [],  # noqa: B006 (typer reads it)
    store: Store = DEFAULT_STORE,
    model_server: Annotated[
        str, typer.Option(help="TensorFlow Serving, or `twinbeam model-server`: its gRPC port.", metavar="HOST:PORT")
    ] = "127.0.0.1:8500",
    model: Annotated[str, typer.Option(help="The model's name there; else the dataset's.", metavar="NAME")] = "",
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0: any that is free.", min=0, max=65535)] = 8080,
    clock: Annotated[
        Literal["now", "stream"],
        typer.Option(help="The time of a request that has none: the machine's, or how far the store is."),
    ] = "now",
    store_timeout_s: Annotated[
        float, typer.Option(help="For which the store may be silent.", min=0.001, max=60.0)
    ] = 1.0,
    model_timeout_s: Annotated[
        float, typer.Option(help="For which the model server may be silent.", min=0.001, max=60.0)
    ] = 1.0,
    api_key_file: Annotated[
        Path | None, typer.Option(help="API keys, one a line; a request must have one.", metavar="FILE")
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="The certificate chain, PEM.", metavar="FILE")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.", metavar="FILE")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listens beyond this machine without API key or TLS.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Answers predictions over HTTP, with live features looked up, until SIGTERM drains it."""
    failures = Failures(debug)
    with ending(failures):
        from pipeline.gateway.security import ApiKeys, is_loopback

        declaration = load(features, overrides)
        secured = insecure or bool(api_key_file and tls_key) or is_loopback(host)
    if (tls_certificate is None) != (tls_key is None):
        raise typer.BadParameter("give both --tls-certificate and --tls-key, or neither.")
    if not secured:
        raise typer.BadParameter(
            f"--host {host} can be reached from other machines: give --api-key-file, --tls-certificate and --tls-key, "
            "or say --insecure."
        )
    if declaration.live is None and clock == "stream":
        raise typer.BadParameter("--clock stream: there are no live features, and so no stream.")
    with ending(failures):
        keys = ApiKeys(api_key_file) if api_key_file else None
        from pipeline.gateway.app import create_app
        from pipeline.gateway.gateway import Settings
        from pipeline.gateway.server import listen, serve
        from pipeline.stores.urls import open_store

        open_store(store, "").close()  # a URL that names no store is refused now
        settings = Settings(
            declaration, store, model_server, model or declaration.dataset, clock, store_timeout_s, model_timeout_s
        )
        app = create_app(settings, keys)
        with listen(host, port) as listening:
            serve(app, listening, tls_certificate, tls_key)
