"""The gate by hand: the checks of any pushed model on any rows, without what a run leaves behind.

Transform's examples and the Evaluator's scores are not there. In their place stand what the model's own transform graph
gives for all rows at once, and what batch prediction gives.
"""

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from modules.spec import ROW_ID, SPLITS, Declaration, InputError, NotFoundError
from pipeline.engines.engine import LOCAL
from pipeline.ingest.examples import example_files
from pipeline.ingest.files import InputFile, find_files
from pipeline.ingest.ingest import Ingest, Summary
from pipeline.jobs.backfill import backfill
from pipeline.live.history import event_files
from pipeline.parity.budget import budget
from pipeline.parity.check import Check
from pipeline.parity.contract import Contract
from pipeline.parity.exported import Exported, named_inputs, serialized, taken
from pipeline.parity.freshness import freshness
from pipeline.parity.kept import kept
from pipeline.parity.live import live_features
from pipeline.parity.private_store import private_store
from pipeline.parity.remote import Remote
from pipeline.parity.sample import Sample, sample
from pipeline.parity.scores import compared, scores
from pipeline.parity.seen import seen
from pipeline.parity.server import serving
from pipeline.parity.transformed import transformed_features
from pipeline.prediction.model import SCORE
from pipeline.prediction.predict import predict


def judge_by_hand(
    declaration: Declaration,
    model: Path,
    data: str,
    events: Mapping[str, Sequence[str]],
    remote: Remote | None = None,
) -> tuple[Check, ...]:
    """The checks in their order.

    Args:
      declaration: The features; `gate.rows` of the rows are compared, of whatever split.
      model: The directory of a version.
      data: The rows, with the dataset's columns: a file, directory or glob.
      events: Where each source's events are, as for `backfill`.
      remote: A model server of which transformed features and scores are asked too.

    Raises:
      InputError: The rows or the events cannot be read, or do not fit.
      NotFoundError: There is no such model or model server.
    """
    if not (model / "saved_model.pb").is_file():
        raise NotFoundError(f"{model}: there is no saved_model.pb. Name the directory of a version with --model DIR.")
    files = find_files(data)
    history = event_files(declaration, events) if declaration.live else []
    with tempfile.TemporaryDirectory(prefix="twinbeam-gate-") as directory:
        scratch = Path(directory)
        values = scratch / "values"
        if declaration.live:
            backfill(declaration, events, data, values)
        examples = str(scratch / "examples")
        _ingest(declaration, files, examples, str(values) if declaration.live else None, scratch / "summary.json")
        contract = Contract(declaration)
        written = sorted(map(str, values.glob("*.parquet")))
        contract.files([*(path for _, path in example_files(examples, SPLITS)), *written])
        if not contract.signatures(model):
            return (contract.check(),)
        with serving(model, declaration.dataset) as server:
            contract.gateway(server.target)
            if remote is not None:
                contract.gateway(remote.target, remote.name)
            if not contract.holds:
                return (contract.check(),)
            rows = sample(examples, declaration, SPLITS)
            found: list[Check] = []
            if declaration.live:
                found += _live(declaration, rows, values, history, scratch, contract)
            predict(declaration, model, data, scratch / "predicted", events)
            reference = _Scores(scratch / "predicted", declaration.id or ROW_ID)
            exported = Exported(model)
            found.append(transformed_features(declaration, rows, None, exported))
            found.append(scores(declaration, rows, reference.directory, SCORE, exported, server, reference.row_id))
            if remote is not None:
                found += _over_the_wire(declaration, rows, reference, exported, remote)
            found.append(budget(declaration, model, server))
            return (*found, contract.check())


@dataclasses.dataclass(frozen=True)
class _Scores:
    """Those of batch prediction."""

    directory: Path
    row_id: str
    """The column of the ids."""


def _live(
    declaration: Declaration,
    rows: Sample,
    values: Path,
    history: Sequence[tuple[str, InputFile]],
    scratch: Path,
    contract: Contract,
) -> Iterator[Check]:
    before = kept(declaration, rows, values)
    with private_store(declaration, scratch) as store:
        yield live_features(declaration, rows, before, history, store.place(declaration), scratch)
        contract.store(store)
    promised = freshness(declaration, rows, before, seen(declaration, before, history))
    if promised is not None:
        yield promised


def _over_the_wire(
    declaration: Declaration, rows: Sample, reference: _Scores, model: Exported, remote: Remote
) -> Iterator[Check]:
    """Transformed features and scores, as a model server gives them."""
    inputs, examples = named_inputs(declaration, rows), serialized(declaration, rows)
    ways = {
        "serving_default": lambda some: remote.call("serving_default", taken(inputs, some))["score"],
        "serving_examples": lambda some: remote.call("serving_examples", {"examples": examples[some]})["score"],
    }
    checks = (
        transformed_features(declaration, rows, None, model, remote),
        compared(rows, reference.directory, SCORE, reference.row_id, ways),
    )
    for check in checks:
        yield dataclasses.replace(check, name=f"{check.name} of {remote.target}")


def _ingest(declaration: Declaration, files: list[InputFile], examples: str, values: str | None, report: Path) -> None:
    """Writes the rows as examples.

    Raises:
      InputError: A file is unreadable, a row does not fit, or there is none.
    """
    with beam.Pipeline(options=PipelineOptions(list(LOCAL.beam_args))) as pipeline:
        _ = (
            pipeline
            | "Ingest" >> Ingest(files, declaration, examples, values)
            | "Report" >> beam.Map(lambda summary: report.write_text("\n".join(_refusals(summary))))
        )
    if refusals := report.read_text():
        raise InputError(refusals)


def _refusals(summary: Summary) -> list[str]:
    """What is wrong with the rows."""
    if summary.unreadable or summary.problems:
        return [*summary.unreadable, *map(str, summary.problems)]
    return [] if summary.rows else ["the data holds no rows. Name other data with --data PATH."]
