"""What a Beam job is told of where it runs."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Engine:
    """A runner with its options."""

    beam_args: tuple[str, ...]
    stream_args: tuple[str, ...] = ()
    """Those that a stream needs beside them."""
    parallelism: int = 1
    """Among how many workers the partitions of a stream are shared."""
    cancel: Callable[[str], None] | None = None
    """Cancels a stream's job by its name; None: it ends by itself when its sources have."""
    renewed: bool = False
    """Whether a stream is ended and started anew now and then, because the runner keeps something of each bundle."""


LOCAL = Engine(("--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",), renewed=True)
"""This process. Named in full, for Beam 2.62 knows no short name."""
