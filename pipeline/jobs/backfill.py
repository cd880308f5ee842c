"""The backfill job: live features of recorded requests from recorded events, all there or not there at all."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from modules.spec import Declaration, InputError
from pipeline.engines.engine import LOCAL, Engine
from pipeline.ingest.files import InputFile, find_files, size
from pipeline.jobs.places import read_report, whole, workers_reach, write_text
from pipeline.live.account import Account
from pipeline.live.backfill import Backfill
from pipeline.live.history import event_files

_SHARD_BYTES = 16 << 20
_MOST_SHARDS = 256


def backfill(
    declaration: Declaration,
    events: Mapping[str, Sequence[str]],
    requests: str | None,
    output: Path | str,
    shards: int | None = None,
    engine: Engine = LOCAL,
) -> Account:
    """Writes a directory of Parquet files: each request's columns, its id, and its live features at full width.

    Args:
      declaration: The features.
      events: Where each source's events are: files, directories, globs. A source that is left out has those of its
        `batch`, or the dataset's `data`.
      requests: Where the requests are; None: the events of the sources that have the dataset's columns.
      output: The directory, which must not exist; its parent is made. At gs:// it is complete once it has _SUCCESS.
      shards: Into how many parts keys are split; None: as the size of the files says.
      engine: Where it runs; it must reach the files under the paths given here.

    Raises:
      DeclarationError: It has no live features, or not such a source.
      InputError: Files cannot be read, or requests cannot be answered.
      OutputError: The output is there already.
      BusyError: Another backfill writes it.
    """
    found = event_files(declaration, events)
    asking = (
        find_files(requests, named="--requests PATH") if requests is not None else _dataset_events(declaration, found)
    )
    options = PipelineOptions(list(engine.beam_args))
    workers_reach(options, [*(file.path for _, file in found), *(file.path for file in asking), str(output)])
    split = shards or shards_for([*(file for _, file in found), *asking])
    with whole(str(output), options, "backfill", "--output PATH") as (scratch, parts):
        report = FileSystems.join(scratch, "account.json")
        backfilling = Backfill(declaration, found, asking, FileSystems.join(scratch, "pieces"), parts, split)
        with beam.Pipeline(options=options) as pipeline:
            account = pipeline | "Backfill" >> backfilling
            _ = account | "Text" >> beam.Map(Account.to_json) | "Report" >> beam.Map(write_text, report)
        account = Account.from_json(read_report(report))
        check(account)
    return account


def shards_for(files: Sequence[InputFile]) -> int:
    """Into how many parts keys are split, as the size of the files says."""
    return min(_MOST_SHARDS, 1 + sum(size(file.path) for file in files) // _SHARD_BYTES)


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
