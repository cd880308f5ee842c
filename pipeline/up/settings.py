"""What `twinbeam up` is asked for, and where it keeps what."""

import dataclasses
from pathlib import Path

from modules.spec import Declaration
from pipeline.live.place import Place
from pipeline.workspace import Workspace


@dataclasses.dataclass(frozen=True)
class UpSettings:
    """What is started."""

    features: Path
    """The declaration's file."""
    declaration: Declaration
    """What is in it."""
    workspace: Workspace
    """Where the model was pushed to."""
    store: str
    """The online store's URL; empty: a fresh SQLite file."""
    speed: float
    """Seconds of ingest time per second, above 0."""
    port: int
    """The page's; 0: a free one."""

    @property
    def models(self) -> Path:
        """The versions of the model."""
        return self.workspace.serving(self.declaration.dataset)

    @property
    def directory(self) -> Path:
        """What is made anew at each start."""
        return self.workspace.output / "up"

    @property
    def logs(self) -> Path:
        """One log a process."""
        return self.workspace.logs / "up"

    @property
    def dead_letters(self) -> Path:
        """What does not count."""
        return self.directory / "dead_letters"

    @property
    def place(self) -> Place:
        """Where the rows are."""
        return Place(self.store or f"sqlite://{self.directory}/online.db", self.declaration.features_fingerprint)
