"""The backfill job: live features of recorded requests from recorded events, all there or not there at all."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from filelock import FileLock, Timeout

from modules.spec import BusyError, Declaration, InputError, OutputError
from pipeline.ingest.files import InputFile, find_files
from pipeline.live.account import Account
from pipeline.live.backfill import Backfill
from pipeline.live.history import event_files

_SHARD_BYTES = 16 << 20
_MOST_SHARDS = 256
_LOCAL = ("--runner=FnApiRunner",)


def backfill(
    declaration: Declaration,
    events: Mapping[str, Sequence[str]],
    requests: str | None,
    output: Path,
    shards: int | None = None,
    beam_args: Sequence[str] = _LOCAL,
) -> Account:
    """Writes a directory of Parquet files: each request's columns, its id, and its live features at full width.

    Args:
      declaration: The features.
      events: Where each source's events are: files, directories, globs. A source that is left out has those of its
        `batch`, or the dataset's `data`.
      requests: Where the requests are; None: the events of the sources that have the dataset's columns.
      output: The directory, which must not exist; its parent is made.
      shards: Into how many parts keys are split; None: as the size of the files says.
      beam_args: The options of the runner.

    Raises:
      DeclarationError: It has no live features, or not such a source.
      InputError: Files cannot be read, or requests cannot be answered.
      OutputError: The output is there already.
      BusyError: Another backfill writes it.
    """
    found = event_files(declaration, events)
    asking = find_files(requests) if requests is not None else _dataset_events(declaration, found)
    split = shards or shards_for([*(file for _, file in found), *asking])
    with _all_or_nothing(output) as (scratch, parts):
        report = scratch / "account.json"
        with beam.Pipeline(options=PipelineOptions(list(beam_args))) as pipeline:
            _ = (
                pipeline
                | "Backfill" >> Backfill(declaration, found, asking, str(scratch / "pieces"), str(parts), split)
                | "Report" >> beam.Map(lambda account: report.write_text(account.to_json()))
            )
        account = Account.from_json(report.read_text())
        check(account)
    return account


def shards_for(files: Sequence[InputFile]) -> int:
    """Into how many parts keys are split, as the size of the files says."""
    return min(_MOST_SHARDS, 1 + sum(Path(file.path).stat().st_size for file in files) // _SHARD_BYTES)


def check(account: Account) -> None:
    """Refuses a backfill that answered nothing.

    Raises:
      InputError: A file is unreadable, a request does not fit, or there is none.
    """
    if account.unreadable:
        raise InputError("\n".join(account.unreadable))
    if account.problems:
        problems = "\n".join(map(str, account.problems))
        raise InputError(f"{problems}\nMend the requests, or declare the column otherwise.")
    if not account.requests:
        raise InputError("there are no requests. Name their files with --requests PATH.")


def _dataset_events(declaration: Declaration, events: list[tuple[str, InputFile]]) -> list[InputFile]:
    """The files of the sources whose events have the dataset's columns."""
    assert declaration.live is not None
    sources = declaration.live.sources
    files = {file for name, file in events if sources[name].columns is None}
    if not files:
        raise InputError(
            "no source has the dataset's columns, so no events are requests. Name the requests with --requests PATH."
        )
    return sorted(files, key=lambda file: file.path)


def clear(output: Path) -> None:
    """Removes what a backfill that is ended there and then leaves beside its output."""
    shutil.rmtree(_scratch(output), ignore_errors=True)


def _scratch(output: Path) -> Path:
    return output.absolute().parent / f".{output.name}.partial"


@contextlib.contextmanager
def _all_or_nothing(output: Path) -> Iterator[tuple[Path, Path]]:
    """A directory beside the output to work in, and one in it that becomes the output at the end.

    What a killed backfill has left there is removed at the start of the next.
    """
    scratch = _scratch(output)
    try:
        if output.exists() and not (output.is_dir() and not any(output.iterdir())):
            raise OutputError(f"{output}: is there already. Remove it, or name another --output PATH.")
        scratch.mkdir(parents=True, exist_ok=True)
        lock = FileLock(scratch / ".lock")
        lock.acquire(blocking=False)
    except Timeout:
        raise BusyError(
            f"{output}: another backfill is writing it. Wait for it, or give this one another --output PATH."
        ) from None
    except OSError as error:
        raise OutputError(
            f"{output}: cannot be written: {error.strerror}. Name a directory with --output PATH."
        ) from None
    try:
        for left in scratch.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
        parts = scratch / "parts"
        parts.mkdir()
        yield scratch, parts
        parts.rename(output)
    finally:
        lock.release()
        shutil.rmtree(scratch, ignore_errors=True)
