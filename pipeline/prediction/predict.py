"""The prediction job: requests in files, the live features of each, the pushed model's scores; all there or nothing."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from modules.spec import Declaration, DeclarationError, StoreUnavailable
from pipeline.engines.engine import LOCAL, Engine
from pipeline.ingest.files import InputFile, copy_below, files_below, find_files, is_remote
from pipeline.jobs.backfill import check, shards_for
from pipeline.jobs.places import read_report, whole, workers_reach, write_text
from pipeline.live.account import Account
from pipeline.live.answered import COMPLETE_SUFFIX, STATUS_SUFFIX
from pipeline.live.backfill import Backfill
from pipeline.live.history import event_files
from pipeline.prediction.counts import Counts
from pipeline.prediction.model import SCORE
from pipeline.prediction.transform import ACCOUNT, COUNTS, KeepRequests, LookUp, Predict, ReadAnswered, ReadRequests
from pipeline.serving.fingerprint import check_model

BATCH_ROWS = 1024


@dataclasses.dataclass(frozen=True)
class Predicted:
    """What was scored. Every request is either scored or too old."""

    requests: int
    scored: int
    too_old: int
    """Requests that the store refused, so that they have no score."""
    incomplete: int
    """Requests scored with live values of a store that do not hold all events that count."""
    events: dict[str, int]
    """Events that count, by source, where live features were computed from events."""
    not_counted: tuple[str, ...]
    """Which events do not count, and why, in words."""


def predict(
    declaration: Declaration,
    model: Path,
    requests: str,
    output: Path | str,
    events: Mapping[str, Sequence[str]] | None = None,
    store: str | None = None,
    batch_rows: int = BATCH_ROWS,
    engine: Engine = LOCAL,
) -> Predicted:
    """Writes a directory of Parquet files: each request's columns, its id, its live features, and its `score`.

    The live features are at full width; from a store each has its status and completeness beside it. A score is
    float32, and null where the store refuses the request as too old.

    Args:
      declaration: What the model was trained on.
      model: The directory of a version.
      requests: Rows with the dataset's columns, of which those with role label or ignored may be left out: a file,
        directory or glob.
      output: The directory, which must not exist; its parent is made. At gs:// it is complete once it has _SUCCESS.
      events: Where each source's events are, if live features are computed as of each request. A source that is left
        out has those of its `batch`, or the dataset's `data`.
      store: The URL of the online store that answers instead.
      batch_rows: How many rows one call of the model gets at most.
      engine: Where it runs.

    Raises:
      DeclarationError: The model was trained on other features, or a column is called as what is added.
      InputError: Files cannot be read, requests do not fit, or there is none.
      NotFoundError: There is no such model.
      OutputError: The output is there already, or cannot be written.
      BusyError: Another prediction writes it.
      StoreUnavailable: The store is down or too slow.
    """
    if declaration.live is None and (events or store):
        raise DeclarationError("live: there are no live features to look up. Leave out --events and --store.")
    _check_names(declaration, store)
    check_model(model, declaration)
    files = find_files(requests, named="--requests PATH")
    history = event_files(declaration, events or {}) if declaration.live and store is None else []
    options = PipelineOptions(list(engine.beam_args))
    workers_reach(options, [*(file.path for file in files), *(file.path for _, file in history), str(output)])
    with whole(str(output), options, "prediction", "--to DIR") as (scratch, parts):
        served = str(model)
        if is_remote(scratch):  # workers on other machines load it from there
            copy_below(str(model), served := FileSystems.join(scratch, "model"))
        job = _Job(declaration, Predict(declaration, served, batch_rows, parts), scratch, list(engine.beam_args))
        account, counts = job.computed(files, history) if history else job.looked_up(files, store)
    told = tuple(map(str, account.rejections))
    return Predicted(account.requests, counts.scored, counts.too_old, counts.incomplete, account.counted, told)


def _check_names(declaration: Declaration, store: str | None) -> None:
    """Refuses columns whose names predictions need for their own."""
    suffixes = (STATUS_SUFFIX, COMPLETE_SUFFIX) if store else ()
    for name in (SCORE, *(name + suffix for name in declaration.live_features for suffix in suffixes)):
        if name in declaration.columns or name in declaration.live_features:
            raise DeclarationError(f"{name}: predictions have a column of this name. Give the declared one another.")


@dataclasses.dataclass(frozen=True)
class _Job:
    """One prediction, and where it works."""

    declaration: Declaration
    scoring: Predict
    scratch: str
    beam_args: list[str]

    def looked_up(self, files: Sequence[InputFile], store: str | None) -> tuple[Account, Counts]:
        """Scores requests with what a store answers; without a store there are no live features."""
        with self._pipeline() as pipeline:
            read = (
                pipeline
                | "Files" >> beam.Create(list(enumerate(files)))
                | "Read" >> beam.ParDo(ReadRequests(self.declaration)).with_outputs(ACCOUNT, main="rows")
            )
            rows, away = read.rows, []
            if store is not None:
                answered = rows | "LookUp" >> beam.ParDo(LookUp(self.declaration, store)).with_outputs(
                    COUNTS, main="rows"
                )
                rows, away = answered.rows, [answered[COUNTS]]
            self._report(read[ACCOUNT] | "Account" >> beam.CombineGlobally(Account.total), [rows | self.scoring, *away])
        account, counts = self._reported()
        if counts.away:
            raise StoreUnavailable("\n".join(counts.away))
        return account, counts

    def computed(self, files: Sequence[InputFile], history: list[tuple[str, InputFile]]) -> tuple[Account, Counts]:
        """Scores requests with live features computed from recorded events, as of the time of each."""
        kept, pieces, answered = (FileSystems.join(self.scratch, name) for name in ("requests", "pieces", "answered"))
        requests = self._keep(files, kept)
        shards = shards_for([*(file for _, file in history), *requests])
        backfill = Backfill(self.declaration, history, requests, pieces, answered, shards)
        with self._pipeline() as pipeline:
            account = pipeline | "LiveFeatures" >> backfill
            counts = (
                account
                | "Answered" >> beam.FlatMap(lambda _, directory: enumerate(files_below(directory)), answered)
                | "Spread" >> beam.Reshuffle()
                | "Read" >> beam.ParDo(ReadAnswered())
                | self.scoring
            )
            self._report(account, [counts])
        return self._reported()

    def _keep(self, files: Sequence[InputFile], directory: str) -> list[InputFile]:
        """The requests as they are once they are read, for the backfill: a file with any becomes one file."""
        report = FileSystems.join(self.scratch, "requests.json")
        with self._pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(list(enumerate(files)))
                | "Keep" >> beam.ParDo(KeepRequests(self.declaration, directory))
                | "Account" >> beam.CombineGlobally(Account.total)
                | "Text" >> beam.Map(Account.to_json)
                | "Report" >> beam.Map(write_text, report)
            )
        check(Account.from_json(read_report(report)))
        return [InputFile(path, "parquet") for path in files_below(directory)]

    def _pipeline(self) -> beam.Pipeline:
        return beam.Pipeline(options=PipelineOptions(self.beam_args))

    def _report(self, account: beam.PCollection[Account], counts: list[beam.PCollection[Counts]]) -> None:
        total = counts | "Counts" >> beam.Flatten() | "Total" >> beam.CombineGlobally(Counts.total)
        for name, result in ((ACCOUNT, account), (COUNTS, total)):
            path = FileSystems.join(self.scratch, f"{name}.json")
            _ = result | f"Report {name}" >> beam.Map(lambda value, to: write_text(value.to_json(), to), path)

    def _reported(self) -> tuple[Account, Counts]:
        account = Account.from_json(read_report(FileSystems.join(self.scratch, f"{ACCOUNT}.json")))
        check(account)
        return account, Counts.from_json(read_report(FileSystems.join(self.scratch, f"{COUNTS}.json")))
