"""The Beam transform behind ExampleGen: files in, Parquet examples by split out, and a summary of what was read."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Self

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modules.spec import ROW_ID, SPLITS, Declaration, InputError
from pipeline.ingest.conform import accepted, conform
from pipeline.ingest.examples import ExampleWriter, to_examples
from pipeline.ingest.files import InputFile
from pipeline.ingest.live_columns import LiveColumns
from pipeline.ingest.problems import Problem, merge, problem
from pipeline.ingest.readers import read_batches
from pipeline.ingest.rows import labels, row_ids, split_by_hash, split_by_time, time_cuts


@dataclasses.dataclass
class Summary:
    """What was read."""

    rows: dict[str, int] = dataclasses.field(default_factory=dict)
    """Rows by split."""
    positives: dict[str, int] = dataclasses.field(default_factory=dict)
    """Rows with label 1 by split."""
    nulls: dict[str, int] = dataclasses.field(default_factory=dict)
    """Nulls by column."""
    problems: list[Problem] = dataclasses.field(default_factory=list)
    """What is wrong with rows; if there is any, the examples are not to be used."""
    events: dict[str, int] = dataclasses.field(default_factory=dict)
    """Events by source, from which live features were computed."""
    not_counted: list[str] = dataclasses.field(default_factory=list)
    """Which of the events do not count, and why, in words."""
    unreadable: list[str] = dataclasses.field(default_factory=list)
    """Why a file could not be read at all. Kept as text, for a runner turns exceptions into errors of its own."""

    @classmethod
    def total(cls, summaries: Iterable[Self]) -> Self:
        parts = list(summaries)
        return cls(
            rows=_add(part.rows for part in parts),
            positives=_add(part.positives for part in parts),
            nulls=_add(part.nulls for part in parts),
            problems=merge(problem for part in parts for problem in part.problems),
            unreadable=[reason for part in parts for reason in part.unreadable],
        )


def _add(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    return dict(sum(map(Counter, counts), Counter()))


@dataclasses.dataclass(eq=False)
class Ingest(beam.PTransform):
    """PBegin -> PCollection of one `Summary`; writes `Split-<name>/examples-<file>.parquet` below `directory`.

    A file is one element, read in batches so that memory does not grow with it; a runner reads files in parallel.
    """

    files: list[InputFile]
    declaration: Declaration
    directory: str
    live: str | None = None
    """Where a backfill wrote the live features of the same files' rows, in case that there are any."""

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Summary]:
        numbered = begin | "Files" >> beam.Create(list(enumerate(self.files)))
        if self.declaration.split.by == "time":
            cuts = beam.pvalue.AsSingleton(
                numbered
                | "CountTimes" >> beam.ParDo(_CountTimes(self.declaration))
                | "Cut" >> beam.CombineGlobally(_CutFn(self.declaration))
            )
            summaries = numbered | "Write" >> beam.ParDo(
                _WriteExamples(self.declaration, self.directory, self.live), cuts
            )
        else:
            summaries = numbered | "Write" >> beam.ParDo(
                _WriteExamples(self.declaration, self.directory, self.live), None
            )
        return summaries | "Total" >> beam.CombineGlobally(Summary.total)


Times = tuple[np.ndarray, np.ndarray]
"""Distinct times in microseconds, ascending, and how many rows each has; int64, shape (n,) both."""


class _CountTimes(beam.DoFn):
    def __init__(self, declaration: Declaration) -> None:
        self._declaration = declaration

    def process(self, element: tuple[int, InputFile]) -> Iterator[Times]:
        assert self._declaration.time is not None
        name = self._declaration.time
        ignored: list[Problem] = []
        with contextlib.suppress(InputError):  # what cannot be read is reported where the rows are written
            columns = self._declaration.columns
            for _, batch in read_batches(element[1], columns, {name: columns[name]}, ignored):
                micros, _ = conform(batch.column(0), columns[name], name)
                yield np.unique(pc.drop_null(micros).to_numpy(), return_counts=True)


class _CutFn(beam.CombineFn):
    """Finds the exact times at which the splits are cut."""

    def __init__(self, declaration: Declaration) -> None:
        self._split = declaration.split

    def create_accumulator(self) -> Times:
        return np.empty(0, np.int64), np.empty(0, np.int64)

    def add_input(self, accumulator: Times, times: Times) -> Times:
        return self.merge_accumulators([accumulator, times])

    def merge_accumulators(self, accumulators: Iterable[Times]) -> Times:
        micros, counts = (np.concatenate(arrays) for arrays in zip(*accumulators, strict=True))
        distinct, inverse = np.unique(micros, return_inverse=True)
        return distinct, np.bincount(inverse, counts, len(distinct)).astype(np.int64)

    def extract_output(self, accumulator: Times) -> tuple[int, int]:
        return time_cuts(*accumulator, self._split) if len(accumulator[0]) else (0, 0)


class _WriteExamples(beam.DoFn):
    def __init__(self, declaration: Declaration, directory: str, live: str | None) -> None:
        self._declaration = declaration
        self._directory = directory
        self._live = live

    def process(self, element: tuple[int, InputFile], cuts: tuple[int, int] | None) -> Iterator[Summary]:
        number, file = element
        summary = Summary()
        writer = ExampleWriter(self._directory, f"{number:05d}")
        try:
            live = LiveColumns(self._live, number, list(self._declaration.live_features)) if self._live else None
            self._write(file, cuts, writer, summary, live)
        except InputError as error:
            summary.unreadable.append(str(error))
        finally:
            writer.close()
        summary.problems = merge(summary.problems)
        yield summary

    def _write(
        self,
        file: InputFile,
        cuts: tuple[int, int] | None,
        writer: ExampleWriter,
        summary: Summary,
        live: LiveColumns | None,
    ) -> None:
        declared = self._declaration.columns
        for rows, batch in read_batches(file, declared, declared, summary.problems):
            columns = self._conform(batch, file.path, rows, summary)
            splits = self._add_row_columns(columns, cuts)
            columns |= live.take(len(batch)) if live else self._without_live(len(batch))
            examples = to_examples(columns, self._declaration)
            for split in SPLITS:
                here = pa.array(splits == split)
                part = examples.filter(here)
                if len(part):
                    writer.write(split, part)
                    ones = pc.sum(columns[self._declaration.label.name].filter(here)).as_py() or 0
                    summary.rows[split] = summary.rows.get(split, 0) + len(part)
                    summary.positives[split] = summary.positives.get(split, 0) + ones

    def _without_live(self, rows: int) -> dict[str, pa.Array]:
        """Nulls for the live features of rows that are read only to say what is wrong with them."""
        kinds = {"int": pa.int64(), "float": pa.float64()}
        return {name: pa.nulls(rows, kinds[each.dtype]) for name, each in self._declaration.live_features.items()}

    def _conform(self, batch: pa.RecordBatch, path: str, rows: np.ndarray, summary: Summary) -> dict[str, pa.Array]:
        """The columns in their canonical types; what does not fit, or must not be null, is a problem."""
        spec, columns = self._declaration, {}
        reasons = {spec.time: "it is the event's time", spec.id: "it is the row's identity"}
        reasons |= dict.fromkeys(spec.label.columns, "the label is made from it")
        for name, column in spec.columns.items():
            read = batch.column(name)
            values, bad = conform(read, column, name)
            summary.nulls[name] = summary.nulls.get(name, 0) + values.null_count
            columns[name] = values
            wrong = {accepted(column): bad}
            if name in reasons:
                null = pc.is_null(values).to_numpy(zero_copy_only=False)
                wrong[f"a value in every row, because {reasons[name]}"] = null & ~bad
            if name == spec.label.column:
                binary = pc.is_in(pc.cast(values, pa.int64()), pa.array([0, 1, None]))
                wrong["0 or 1, because it is the label"] = ~binary.to_numpy(zero_copy_only=False)
            for rule, at in wrong.items():
                if at.any():
                    summary.problems.append(problem(path, rows, name, rule, read, at))
        return columns

    def _add_row_columns(self, columns: dict[str, pa.Array], cuts: tuple[int, int] | None) -> np.ndarray:
        """Adds id and label to the columns, and gives each row's split."""
        spec = self._declaration
        ids = pc.cast(columns[spec.id], pa.string()) if spec.id else row_ids(columns)
        columns |= {ROW_ID: ids, spec.label.name: labels(columns, spec.label)}
        if cuts is not None:
            assert spec.time is not None
            return split_by_time(pc.coalesce(columns[spec.time], 0), cuts)
        assert spec.split.key is not None
        return split_by_hash(columns[spec.split.key], ids, spec.split)
