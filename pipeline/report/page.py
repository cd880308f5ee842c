"""Everything that the page shows, read from what the components left behind."""

import dataclasses
from collections.abc import Sequence

from modules.spec import EVAL, SPLITS, TRAIN, Declaration
from pipeline import curated_schema
from pipeline.orchestration.local_runner import Outputs
from pipeline.report import checks, judgement, learning, live, parity, provenance, slices, trials
from pipeline.report.calibration import calibration_plot, score_plot
from pipeline.report.columns import Columns, columns
from pipeline.report.graph import Graph, graph
from pipeline.report.numbers import duration, metric, number, percent, started
from pipeline.report.plot import Plot
from pipeline.report.ranking import ranking_plots
from pipeline.report.scores import read_scores
from pipeline.report.timings import Timing, timings
from pipeline.results import figures
from pipeline.results.record import RunRecord


@dataclasses.dataclass(frozen=True)
class Figure:
    """A key figure."""

    name: str
    value: str
    note: str


@dataclasses.dataclass(frozen=True)
class Page:
    """The report, section by section."""

    dataset: str
    version: int | None
    """None: the model was withheld."""
    run_id: str
    started: str
    question: str
    """What the model predicts, in words."""
    verdict: judgement.Verdict
    figures: tuple[Figure, ...]
    graph: Graph
    timings: tuple[Timing, ...]
    time: str
    columns: Columns
    rows: tuple[str, str]
    """Of train and eval."""
    splits: tuple[str, ...]
    events: live.Events | None
    anomalies: tuple[checks.Anomaly, ...]
    differences: tuple[checks.Difference, ...]
    curves: tuple[Plot, ...]
    trials: trials.Trials | None
    judgements: tuple[judgement.Judgement, ...]
    with_baseline: bool
    plots: tuple[Plot, ...]
    live: live.Live | None
    parity: tuple[parity.Row, ...]
    slices: tuple[slices.SliceTable, ...]
    few: int
    sources: tuple[provenance.Entry, ...]
    versions: tuple[provenance.Entry, ...]


def page(record: RunRecord, declaration: Declaration, outputs: dict[str, Outputs], options: Sequence[str] = ()) -> Page:
    """Reads the artifacts of a run; see `write_report`."""
    evaluator = outputs["Evaluator"]
    scores = read_scores(evaluator["evaluation"][0].uri, declaration)
    baseline = judgement.baseline_metrics(evaluator)
    schemas = [figures.read_schema_artifact(outputs[name]) for name in ("SchemaGen", "CuratedSchema")]
    positive = float(scores.labels.mean())
    return Page(
        dataset=record.dataset,
        version=record.version,
        run_id=record.run_id,
        started=started(record.run_id),
        question=_question(declaration),
        verdict=judgement.verdict(evaluator),
        figures=_figures(record, baseline, positive),
        graph=graph(record.components),
        timings=timings(record.components),
        time=duration(record.seconds),
        columns=columns(figures.statistics(outputs["StatisticsGen"]), declaration),
        rows=(number(record.rows[TRAIN]), number(record.rows[EVAL])),
        splits=SPLITS,
        events=live.events(record),
        anomalies=checks.anomalies(outputs["ExampleValidator"]),
        differences=checks.differences(curated_schema.differences(*schemas)),
        curves=learning.learning_curves(figures.history(outputs["Trainer"])),
        trials=trials.trials(outputs.get("Tuner")),
        judgements=judgement.judgements(record.metrics, baseline, declaration),
        with_baseline=bool(baseline),
        plots=(*ranking_plots(scores), calibration_plot(scores), score_plot(scores)),
        live=live.live(record, figures.pairs(outputs["Ablation"]) if record.ablation else []),
        parity=parity.parity(record, options),
        slices=slices.slice_tables(figures.sliced_metrics(evaluator), scores.classes, declaration),
        few=slices.FEW,
        sources=provenance.sources(record),
        versions=provenance.versions(),
    )


def _question(declaration: Declaration) -> str:
    label = declaration.label
    if label.ratio_above:
        rule = label.ratio_above
        return f"{label.name}: {rule.numerator} / {rule.denominator} above {rule.threshold}"
    return label.name if label.column in (None, label.name) else f"{label.name}: {label.column}"


def _figures(record: RunRecord, baseline: dict[str, float], positive: float) -> tuple[Figure, ...]:
    rows = " \u00b7 ".join(f"{number(record.rows[split])} {split}" for split in SPLITS)
    reused = sum(component.cached for component in record.components)
    notes = {"log_loss": "lower is better", "calibration": "1 is right", "auc": "0.5 is chance"}
    shown = ("auc", "log_loss", "accuracy", "calibration")
    return (
        Figure("Rows", number(sum(record.rows.values())), rows),
        *(
            Figure(
                judgement.NAMES[name],
                metric(record.metrics[name]),
                f"baseline {metric(baseline[name])}" if name in baseline else notes.get(name, "at a score of 0.5"),
            )
            for name in shown
        ),
        Figure("Positives", percent(positive), "of the eval split"),
        Figure("Run", duration(record.seconds), f"{reused} of {len(record.components)} components reused"),
    )
