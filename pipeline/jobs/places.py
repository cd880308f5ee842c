"""Where a job works and what it leaves: a directory of this machine, or a prefix in a bucket."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions

from modules.spec import InputError
from pipeline.ingest.files import is_remote
from pipeline.whole_directory import whole_directory, whole_prefix


@contextlib.contextmanager
def whole(output: str, options: PipelineOptions, job: str, option: str) -> Iterator[tuple[str, str]]:
    """Where a job works, and where its parts go, which are complete or not there at all: see `whole_directory`.

    Args:
      output: A directory, or gs:// path, below which there is nothing.
      options: The runner's.
      job: Who writes it, for the errors.
      option: What names it, for the errors.
    """
    if is_remote(output):
        temporary = options.view_as(GoogleCloudOptions).temp_location or output.rstrip("/").rpartition("/")[0]
        with whole_prefix(output, FileSystems.join(temporary, job), option) as places:
            yield places
    else:
        with whole_directory(Path(output), job, option) as (scratch, parts):
            yield str(scratch), str(parts)


def workers_reach(options: PipelineOptions, places: Sequence[str]) -> None:
    """Refuses what workers do not reach: on Dataflow, the files and directories of this machine.

    Raises:
      InputError: There is one.
    """
    if options.view_as(StandardOptions).runner != "DataflowRunner":
        return
    for place in places:
        if not place.startswith("gs://"):
            raise InputError(f"{place}: workers of Dataflow do not reach it. Copy it to a bucket, and name gs://.")


def write_text(text: str, path: str) -> None:
    """Writes a file or an object."""
    with FileSystems.create(path) as file:
        file.write(text.encode())


def read_report(path: str) -> str:
    """What a job wrote at its end.

    Raises:
      InputError: It wrote nothing.
    """
    if not FileSystems.exists(path):
        raise InputError(f"{path}: the job ended without a report. Look at the job for why.")
    with FileSystems.open(path) as file:
        return bytes(file.read()).decode()
