"""ExampleGen: reads the rows in columns and writes them as Parquet examples by split."""

import dataclasses
import json
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, component_spec, standard_artifacts
from tfx.types.system_executions import Process

from modules.spec import EVAL, SPLITS, TRAIN, Declaration, InputError
from pipeline.components.reach import scratch_in, within_reach
from pipeline.ingest.files import InputFile
from pipeline.ingest.ingest import Ingest, Summary
from pipeline.ingest.problems import Problem
from pipeline.jobs.backfill import check as check_account
from pipeline.jobs.backfill import shards_for
from pipeline.jobs.places import read_report, write_text
from pipeline.live.account import Account
from pipeline.live.backfill import Backfill

SUMMARY_FILE = "summary.json"
"""In the examples' directory: rows and positives by split, and nulls by column."""


class LiveValues(types.Artifact):
    """The rows with their live features at full width, as a backfill writes them; empty without live features."""

    TYPE_NAME = "twinbeam.LiveValues"


class ExampleGenSpec(component_spec.ComponentSpec):
    PARAMETERS = {
        "files": component_spec.ExecutionParameter(type=str),
        "events": component_spec.ExecutionParameter(type=str),
        "content": component_spec.ExecutionParameter(type=str),
        "declaration": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: dict[str, Any] = {}
    OUTPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "live_values": component_spec.ChannelParameter(type=LiveValues),
    }
    TYPE_ANNOTATION = Process


class Executor(base_beam_executor.BaseBeamExecutor):
    """Runs `Backfill` and `Ingest`; nothing is published unless every row is good."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        declaration = Declaration.model_validate_json(exec_properties["declaration"])
        files = [InputFile(**file) for file in json.loads(exec_properties["files"])]
        events = [(source, InputFile(**file)) for source, file in json.loads(exec_properties["events"])]
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        here = [examples.uri, artifact_utils.get_single_uri(output_dict["live_values"])]
        with within_reach(self._beam_pipeline_args, [], here) as (directory, values):
            account = self._backfill(declaration, events, files, values) if declaration.live else Account()
            sound = declaration.live is not None and not account.refused
            with self._make_beam_pipeline() as pipeline:
                _ = (
                    pipeline
                    | "Ingest" >> Ingest(files, declaration, directory, values if sound else None)
                    | "WriteSummary" >> beam.Map(write_summary, account, f"{directory}/{SUMMARY_FILE}")
                )
        check(read_summary(examples.uri), declaration)
        if account.refused:
            check_account(account)
        examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
        examples_utils.set_payload_format(examples, example_gen_pb2.PayloadFormat.FORMAT_PARQUET)

    def _backfill(
        self, declaration: Declaration, events: list[tuple[str, InputFile]], files: list[InputFile], values: str
    ) -> Account:
        """Writes the live features of the files' rows to `values`; what became of the events."""
        shards = shards_for([*(file for _, file in events), *files])
        with scratch_in(values) as scratch:
            report = f"{scratch}/account.json"
            with self._make_beam_pipeline() as pipeline:
                account = pipeline | "LiveFeatures" >> Backfill(declaration, events, files, scratch, values, shards)
                _ = account | "Text" >> beam.Map(Account.to_json) | "WriteAccount" >> beam.Map(write_text, report)
            return Account.from_json(read_report(report))


def write_summary(summary: Summary, account: Account, path: str) -> None:
    """Keeps what was read, and what became of the events."""
    summary.events = account.events
    summary.not_counted = [str(rejection) for rejection in account.rejections]
    write_text(json.dumps(dataclasses.asdict(summary)), path)


def read_summary(uri: str) -> Summary:
    """What ExampleGen says of the examples at `uri`."""
    fields = json.loads(read_report(f"{uri}/{SUMMARY_FILE}"))
    fields["problems"] = [Problem(**problem) for problem in fields["problems"]]
    return Summary(**fields)


def check(summary: Summary, declaration: Declaration) -> None:
    """Refuses rows that a model cannot be trained on.

    Raises:
      InputError: A file is unreadable, a row does not fit, a split is empty, a feature has no value at all, or the
        label has one class.
    """
    if summary.unreadable:
        raise InputError("\n".join(summary.unreadable))
    if summary.problems:
        raise InputError("\n".join(map(str, summary.problems)) + "\nMend the data, or declare the column otherwise.")
    rows = sum(summary.rows.values())
    if not rows:
        raise InputError("the data holds no rows. Name other data with --data PATH.")
    for split in SPLITS:
        if not summary.rows.get(split):
            raise InputError(f"the split {split} holds none of the {rows:,} rows. Change `split`, or give more data.")
    for name in declaration.features:
        if summary.nulls.get(name, 0) == rows:
            raise InputError(
                f"column {name} is null in all {rows:,} rows. Mend the data, or declare it with role: ignored."
            )
    for split, does in ((TRAIN, "learn from"), (EVAL, "be judged on")):
        ones, of = summary.positives.get(split, 0), summary.rows[split]
        if ones in (0, of):
            raise InputError(
                f"the label {declaration.label.name} is {int(ones > 0)} in all {of:,} rows of the split {split}, "
                f"and a model cannot {does} one class. Give data with both, or change `label` or `split`."
            )


class ExampleGen(base_beam_component.BaseBeamComponent):
    """Rows to Parquet examples in the splits train, validation and eval, and to their live features at full width."""

    SPEC_CLASS = ExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self, files: list[InputFile], events: list[tuple[str, InputFile]], content: str, declaration: Declaration
    ) -> None:
        """Constructs the component.

        Args:
          files: The files to read.
          events: The files of events, each with its source.
          content: A digest of what they hold, for the cache.
          declaration: Its sections columns, live, label and split are read.
        """
        super().__init__(
            ExampleGenSpec(
                files=json.dumps([dataclasses.asdict(file) for file in files]),
                events=json.dumps([(source, dataclasses.asdict(file)) for source, file in events]),
                content=content,
                declaration=declaration.only().model_dump_json(),
                examples=types.Channel(type=standard_artifacts.Examples),
                live_values=types.Channel(type=LiveValues),
            )
        )
