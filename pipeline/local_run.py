"""One local run, from the declaration to a pushed model and a report."""

from __future__ import annotations

import dataclasses
import datetime
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from modules.paired import compare
from modules.spec import Declaration, DeclarationError
from pipeline.ingest.files import InputFile, find_files
from pipeline.live.history import event_files
from pipeline.orchestration.digests import code_digest, content_digest, digest
from pipeline.results.record import ComponentRecord, RunRecord
from pipeline.serving.versions import remove_old, versions
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline

    from pipeline.orchestration.local_runner import Finished, Outputs
    from pipeline.orchestration.pipeline import PipelineInputs, Place


class Progress(Protocol):
    """Whoever watches a run."""

    def plan(self, components: list[str]) -> None:
        """The components that will run, in order."""

    def start(self, component: str) -> None:
        """A component starts."""

    def finish(self, component: ComponentRecord) -> None:
        """A component is done."""


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """What a user may choose for one run."""

    declaration: Declaration
    schema_file: Path
    workspace: Workspace
    trials: int
    keep: int
    cache: bool


def unchanged(settings: RunSettings, run_digest: str) -> RunRecord | None:
    """The last run's record, if this one would give the same and its result is still in place."""
    record = RunRecord.read(settings.workspace.record)
    in_place = (
        record is not None
        and settings.cache
        and record.digest == run_digest
        and record.version in versions(settings.workspace.serving(record.dataset))
        and settings.workspace.report.exists()
    )
    return record if in_place else None


def run(settings: RunSettings, progress: Progress) -> tuple[RunRecord, bool]:
    """Runs what is not up to date, and pushes the model. The workspace must be held.

    Returns:
      The record, and whether anything ran.

    Raises:
      TwinbeamError: See `modules/spec/errors.py`; nothing was pushed.
    """
    declaration, workspace = settings.declaration, settings.workspace
    started = time.monotonic()
    if not settings.schema_file.exists():
        raise DeclarationError(
            f"{settings.schema_file}: there is no curated schema. `twinbeam schema accept` writes one from the data; "
            "look at it, then run again."
        )
    found = _look(settings)
    if record := unchanged(settings, found.digest):
        return record, False

    # TFX takes seconds to import.
    from pipeline import curated_schema
    from pipeline.orchestration.cleanup import remove_old_artifacts
    from pipeline.orchestration.pipeline import training_pipeline
    from pipeline.report.report import write_report
    from pipeline.results import figures

    schema = curated_schema.read_schema(settings.schema_file)
    whole_schema = curated_schema.to_text(curated_schema.with_live_features(schema, declaration))
    run_id = _now()
    pipeline = training_pipeline(_inputs(settings, found, run_id, whole_schema), _place(settings))
    components, outputs = _execute(pipeline, run_id, progress)
    version = figures.pushed_version(outputs["Pusher"])
    read = figures.read(outputs["ExampleGen"])
    record = RunRecord(
        run_id=run_id,
        dataset=declaration.dataset,
        digest=found.digest,
        data=declaration.data,
        content=found.content,
        code=found.code,
        declaration=declaration.fingerprint,
        seed=declaration.training.seed,
        version=version,
        model=str(workspace.serving(declaration.dataset) / str(version)),
        rows=read.rows,
        live_features=len(declaration.live_features),
        events=read.events,
        not_counted=tuple(read.not_counted),
        ablation=compare(figures.pairs(outputs["Ablation"])) if declaration.evaluation.ablation_seeds else (),
        parity=figures.checks(outputs["ParityGate"]),
        metrics=figures.metrics(outputs["Evaluator"]),
        example=figures.example(outputs["ExampleGen"], declaration),
        seconds=time.monotonic() - started,
        components=components,
    )
    write_report(record, declaration, outputs, workspace.report)
    record.write(workspace.record)
    remove_old(workspace.serving(declaration.dataset), settings.keep)
    remove_old_artifacts(workspace.metadata, workspace.artifacts.absolute(), settings.keep)
    return record, True


def accept_schema(settings: RunSettings, progress: Progress) -> list[tuple[str, str, str]]:
    """Takes the data as it is into the curated schema. The workspace must be held.

    Returns:
      (feature, as it was, as it is) wherever the schema changed.
    """
    found = _look(settings)

    from pipeline import curated_schema
    from pipeline.orchestration.pipeline import data_pipeline
    from pipeline.results import figures

    before = curated_schema.read_schema(settings.schema_file)
    run_id = _now()
    _, outputs = _execute(
        data_pipeline(_inputs(settings, found, run_id, found.schema), _place(settings)), run_id, progress
    )
    after = curated_schema.accept(before, figures.statistics(outputs["StatisticsGen"]), settings.declaration)
    curated_schema.write_schema(after, settings.schema_file)
    return curated_schema.differences(before, after)


@dataclasses.dataclass(frozen=True)
class _Found:
    """What a run is made of, beside its settings."""

    files: list[InputFile]
    events: list[tuple[str, InputFile]]
    schema: str
    content: str
    code: str
    digest: str


def _look(settings: RunSettings) -> _Found:
    declaration = settings.declaration
    files = find_files(declaration.data, declaration.spans)
    events = event_files(declaration, {}) if declaration.live else []
    content, code = content_digest(file.path for file in (*files, *(file for _, file in events))), code_digest()
    schema = settings.schema_file.read_text(errors="replace") if settings.schema_file.exists() else ""
    sections = declaration.only("training", "tuning", "evaluation", "gate").model_dump_json()
    whole = digest([sections, schema, content, code, str(settings.trials)])
    return _Found(files, events, schema, content, code, whole)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")


def _inputs(settings: RunSettings, found: _Found, run_id: str, schema: str) -> PipelineInputs:
    from pipeline.orchestration.pipeline import PipelineInputs

    declaration = settings.declaration
    return PipelineInputs(
        declaration=declaration,
        schema=schema,
        files=found.files,
        events=found.events,
        content=found.content,
        code=found.code,
        trials=settings.trials,
        serving_dir=settings.workspace.serving(declaration.dataset).absolute(),
        provenance={
            "run_id": run_id,
            "declaration": declaration.fingerprint,
            "content": found.content,
            "code": found.code,
        },
    )


def _place(settings: RunSettings) -> Place:
    from pipeline.orchestration.pipeline import DIRECT_RUNNER, Place

    workspace = settings.workspace
    workspace.artifacts.mkdir(exist_ok=True)
    return Place(workspace.artifacts.absolute(), workspace.metadata.absolute(), settings.cache, DIRECT_RUNNER)


def _execute(
    pipeline: Pipeline, run_id: str, progress: Progress
) -> tuple[tuple[ComponentRecord, ...], dict[str, Outputs]]:
    """Runs the graph; how each component went, and what it left behind."""
    from pipeline.orchestration.local_runner import LocalRunner
    from pipeline.results import figures

    records: list[ComponentRecord] = []
    outputs: dict[str, Outputs] = {}

    def on_finish(finished: Finished) -> None:
        component = ComponentRecord(
            name=finished.name,
            seconds=finished.seconds,
            cached=finished.cached,
            figure=figures.figure(finished, outputs),
        )
        records.append(component)
        outputs[finished.name] = finished.outputs
        progress.finish(component)

    progress.plan([component.id for component in pipeline.components])
    LocalRunner(run_id, progress.start, on_finish).run(pipeline)
    return tuple(records), outputs
