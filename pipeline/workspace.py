"""Where a run writes: everything is below one output directory, which one run holds at a time."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from modules.spec import BusyError, OutputError


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The output directory and the names in it."""

    output: Path

    @property
    def artifacts(self) -> Path:
        """What components leave behind."""
        return self.output / "artifacts"

    @property
    def metadata(self) -> Path:
        """ML Metadata's SQLite file."""
        return self.output / "metadata.db"

    @property
    def logs(self) -> Path:
        """One log a run."""
        return self.output / "logs"

    @property
    def report(self) -> Path:
        """The report of the last run that succeeded."""
        return self.output / "report.html"

    @property
    def record(self) -> Path:
        """What the last run that succeeded was made of and gave."""
        return self.output / "last_run.json"

    def serving(self, dataset: str) -> Path:
        """The versions of a dataset's model."""
        return self.output / "serving_model" / dataset

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Makes the directory and keeps other runs out of it.

        Raises:
          OutputError: The directory cannot be made or written.
          BusyError: Another run holds it.
        """
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.output / ".lock")
            lock.acquire(blocking=False)
        except Timeout:
            raise BusyError(
                f"{self.output}: another run is writing here. Wait for it, or give this one --output DIR."
            ) from None
        except OSError as error:
            raise OutputError(
                f"{self.output}: cannot be written: {error.strerror}. Name a directory with --output DIR."
            ) from None
        try:
            yield
        finally:
            lock.release()
