"""Where a run writes: everything is below one output directory, which one run holds at a time."""

import contextlib
import dataclasses
import os
import shutil
import tempfile
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
    def withheld_report(self) -> Path:
        """The report of the last run, if it withheld its model; that of the last one that succeeded stays."""
        return self.output / "report-withheld.html"

    @property
    def record(self) -> Path:
        """What the last run that succeeded was made of and gave."""
        return self.output / "last_run.json"

    def serving(self, dataset: str) -> Path:
        """The versions of a dataset's model."""
        return self.output / "serving_model" / dataset

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Makes the directory, keeps other runs out of it, and keeps what libraries write for themselves in it.

        Python's temporary files and Keras's settings go into `tmp/`, which is removed at the end; what a killed run
        has left there, at the start of the next.

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
            with _scratch((self.output / "tmp").absolute()):
                yield
        finally:
            lock.release()


@contextlib.contextmanager
def _scratch(directory: Path) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ("TMPDIR", "KERAS_HOME")}
    shutil.rmtree(directory, ignore_errors=True)
    try:
        directory.mkdir()
    except OSError as error:
        raise OutputError(
            f"{directory}: cannot be made: {error.strerror}. Name a directory with --output DIR."
        ) from None
    os.environ |= dict.fromkeys(before, str(directory))
    tempfile.tempdir = None  # it is looked up again
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        tempfile.tempdir = None
        shutil.rmtree(directory, ignore_errors=True)
