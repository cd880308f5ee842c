"""The processes that serve: the commands that they run, and how one sees that they are ready."""

import dataclasses

from pipeline.up.replay import Replay
from pipeline.up.settings import UpSettings

_PATIENCE_S = "10"
"""For all that runs on one machine, and first answers may be slow."""
_BATCH_EVENTS = 1_000
"""Of the history: a row keeps the events of its last batch in full until its next merge, and is read as long."""


@dataclasses.dataclass(frozen=True)
class Service:
    """A process that runs until it is stopped."""

    title: str
    does: str
    """In a few words."""
    arguments: tuple[str, ...]
    """A command of `twinbeam`."""
    address: str
    """What a person opens, or a client is given."""
    probe: str
    """A URL that is answered by 200 once it is ready."""
    grpc: str = ""
    """HOST:PORT of its gRPC interface; empty: it has none."""
    may_end: bool = False
    """Whether it may end by itself."""

    @property
    def name(self) -> str:
        """The command's."""
        return self.arguments[0]


def services(settings: UpSettings, replay: Replay, ports: list[int]) -> tuple[Service, Service, Service]:
    """Model server, stream and gateway.

    Args:
      settings: What they serve.
      replay: What the stream reads.
      ports: Four free ones.
    """
    grpc, rest, metrics, gateway = ports
    dataset = settings.declaration.dataset
    rows = ("--features", str(settings.features), "--store", settings.place.url)
    streams = tuple(part for name in replay.paths for part in ("--source", f"{name}={replay.url(name)}"))
    return (
        Service(
            "Model server",
            "scores, over TensorFlow Serving's protocol",
            (
                "model-server", f"--port={grpc}", f"--rest_api_port={rest}", f"--model_name={dataset}",
                f"--model_base_path={settings.models.absolute()}",
            ),
            f"http://127.0.0.1:{rest}/v1/models/{dataset}",
            f"http://127.0.0.1:{rest}/v1/models/{dataset}",
            grpc=f"127.0.0.1:{grpc}",
        ),
        Service(
            "Stream",
            "keeps the store fresh",
            (
                "stream", *rows, *streams, "--dead-letters", str(settings.dead_letters),
                "--metrics-port", str(metrics),
            ),
            f"http://127.0.0.1:{metrics}/metrics",
            f"http://127.0.0.1:{metrics}/metrics",
            may_end=True,
        ),
        Service(
            "Gateway",
            "looks live features up, and asks the model server",
            (
                "serve", *rows, "--model-server", f"127.0.0.1:{grpc}", "--model", dataset, "--port", str(gateway),
                "--clock", "stream", "--store-timeout-s", _PATIENCE_S, "--model-timeout-s", _PATIENCE_S,
            ),
            f"http://127.0.0.1:{gateway}/docs",
            f"http://127.0.0.1:{gateway}/readyz",
        ),
    )  # fmt: skip


def bootstrap(settings: UpSettings, replay: Replay) -> tuple[str, ...]:
    """The command that fills the store with what was ingested before the replay."""
    return (
        "bootstrap", "--features", str(settings.features), "--store", settings.place.url,
        "--dead-letters", str(settings.dead_letters), "--until", replay.since, "--batch-events", str(_BATCH_EVENTS),
    )  # fmt: skip
