"""One local run, from the declaration to a pushed model and a report."""

from __future__ import annotations

import dataclasses
import datetime
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from modules.paired import compare
from modules.spec import AnomalyError, Declaration, DeclarationError, NotBlessedError, ParityError
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
    options: tuple[str, ...] = ()
    """With which another command finds the same declaration."""
    beam_args: tuple[str, ...] = ()
    """Where Beam's jobs run; none: in this process."""
    accept: str = "uv run twinbeam schema accept"
    """The command that takes the same data into the curated schema."""


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
      TwinbeamError: See `modules/spec/errors.py`; nothing was pushed. A run that withholds its model
        leaves a report of its own.
    """
    declaration, workspace = settings.declaration, settings.workspace
    started = time.monotonic()
    if not settings.schema_file.exists():
        raise DeclarationError(
            f"{settings.schema_file}: there is no curated schema. `{settings.accept}` writes one from the data; "
            "look at it, then run again."
        )
    found = _look(settings)
    if record := unchanged(settings, found.digest):
        workspace.withheld_report.unlink(missing_ok=True)
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
    ran = _Ran()
    try:
        _execute(pipeline, run_id, progress, ran)
    except AnomalyError as error:
        raise AnomalyError(f"{error}\naccept it  {settings.accept}") from None
    except (NotBlessedError, ParityError) as error:
        record = _record(settings, found, run_id, ran, None, time.monotonic() - started)
        write_report(record, declaration, ran.outputs, workspace.withheld_report, settings.options)
        raise type(error)(f"{error}\nThe report of this run is {workspace.withheld_report}.") from None
    version = figures.pushed_version(ran.outputs["Pusher"])
    record = _record(settings, found, run_id, ran, version, time.monotonic() - started)
    write_report(record, declaration, ran.outputs, workspace.report, settings.options)
    workspace.withheld_report.unlink(missing_ok=True)
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
    ran = _Ran()
    _execute(data_pipeline(_inputs(settings, found, run_id, found.schema), _place(settings)), run_id, progress, ran)
    after = curated_schema.accept(before, figures.statistics(ran.outputs["StatisticsGen"]), settings.declaration)
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
    files = find_files(declaration.data, declaration.spans, declaration.until)
    events = event_files(declaration, {}) if declaration.live else []
    paths = [file.path for file in (*files, *(file for _, file in events))]
    if settings.beam_args:
        from apache_beam.options.pipeline_options import PipelineOptions

        from pipeline.jobs.places import workers_reach

        workers_reach(PipelineOptions(list(settings.beam_args)), paths)
    content, code = content_digest(paths), code_digest()
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
        serving_dir=str(settings.workspace.serving(declaration.dataset).absolute()),
        provenance={
            "run_id": run_id,
            "declaration": declaration.fingerprint,
            "content": found.content,
            "code": found.code,
        },
    )


def _place(settings: RunSettings) -> Place:
    from pipeline.components.baseline import LastOtherBlessedModel
    from pipeline.orchestration.pipeline import DIRECT_RUNNER, Place

    workspace = settings.workspace
    workspace.artifacts.mkdir(exist_ok=True)
    return Place(
        artifacts=str(workspace.artifacts.absolute()),
        metadata=workspace.metadata.absolute(),
        baseline=LastOtherBlessedModel,
        cache=settings.cache,
        beam_args=settings.beam_args or DIRECT_RUNNER,
    )


@dataclasses.dataclass
class _Ran:
    """How the components went so far."""

    components: list[ComponentRecord] = dataclasses.field(default_factory=list)
    outputs: dict[str, Outputs] = dataclasses.field(default_factory=dict)
    """What each left behind, reused or not."""


def _record(
    settings: RunSettings, found: _Found, run_id: str, ran: _Ran, version: int | None, seconds: float
) -> RunRecord:
    """What a run was made of and gave, whose model is pushed as a version, or withheld."""
    from pipeline.results import figures

    declaration, outputs = settings.declaration, ran.outputs
    read = figures.read(outputs["ExampleGen"])
    serving = settings.workspace.serving(declaration.dataset)
    return RunRecord(
        run_id=run_id,
        dataset=declaration.dataset,
        digest=found.digest,
        data=declaration.data,
        content=found.content,
        code=found.code,
        declaration=declaration.fingerprint,
        seed=declaration.training.seed,
        version=version,
        model=str(serving / str(version)) if version else figures.trained_model(outputs["Trainer"]),
        rows=read.rows,
        live_features=len(declaration.live_features),
        events=read.events,
        not_counted=tuple(read.not_counted),
        ablation=compare(figures.pairs(outputs["Ablation"])) if declaration.evaluation.ablation_seeds else (),
        parity=figures.checks(outputs["ParityGate"]),
        metrics=figures.metrics(outputs["Evaluator"]),
        example=figures.example(outputs["ExampleGen"], declaration),
        seconds=seconds,
        components=tuple(ran.components),
    )


def _execute(pipeline: Pipeline, run_id: str, progress: Progress, ran: _Ran) -> None:
    """Runs the graph, and notes how each component went."""
    from pipeline.components.reach import remove_copies
    from pipeline.orchestration.local_runner import LocalRunner
    from pipeline.results import figures

    def on_finish(finished: Finished) -> None:
        component = ComponentRecord(
            name=finished.name,
            seconds=finished.seconds,
            cached=finished.cached,
            figure=figures.figure(finished, ran.outputs),
        )
        ran.components.append(component)
        ran.outputs[finished.name] = finished.outputs
        progress.finish(component)

    progress.plan([component.id for component in pipeline.components])
    try:
        LocalRunner(run_id, progress.start, on_finish).run(pipeline)
    finally:
        remove_copies()
