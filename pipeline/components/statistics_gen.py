"""StatisticsGen: TFDV's statistics of every split, in one pass over all of them.

The stock one builds and starts the same stages once more for each split. Here a split is a slice of one data set.
"""

from typing import Any

import apache_beam as beam
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx import types
from tfx.components.statistics_gen.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import artifact_utils, component_spec, standard_artifacts
from tfx.types.system_executions import Process

import tensorflow_data_validation as tfdv  # isort: skip (it can only be imported after tfx)
from tensorflow_data_validation.statistics.stats_impl import GenerateSlicedStatisticsImpl  # isort: skip

from modules.spec import ROW_ID, SPLITS, Declaration
from pipeline.components.reach import within_reach
from pipeline.ingest.examples import ReadExamples, example_files, example_types
from pipeline.ingest.files import create_file


class StatisticsGenSpec(component_spec.ComponentSpec):
    PARAMETERS = {"declaration": component_spec.ExecutionParameter(type=str)}
    INPUTS = {"examples": component_spec.ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {"statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics)}
    TYPE_ANNOTATION = Process


class Executor(base_beam_executor.BaseBeamExecutor):
    """Computes the statistics of all columns but the row id."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        declaration = Declaration.model_validate_json(exec_properties["declaration"])
        here = artifact_utils.get_single_uri(input_dict["examples"])
        statistics = artifact_utils.get_single_instance(output_dict["statistics"])
        # The row id's values are all different, and to rank millions of them costs more than all the rest.
        columns = [name for name in example_types(declaration) if name != ROW_ID]
        with (
            within_reach(self._beam_pipeline_args, [here], [statistics.uri]) as (examples, directory),
            self._make_beam_pipeline() as pipeline,
        ):
            _ = (
                pipeline
                | "Files" >> beam.Create(example_files(examples, SPLITS))
                | "Read" >> beam.ParDo(ReadExamples(columns, declaration))
                | "Describe" >> GenerateSlicedStatisticsImpl(tfdv.StatsOptions(), is_slicing_enabled=True)
                | "Write" >> beam.Map(_write, directory)
            )
        statistics.split_names = artifact_utils.encode_split_names(list(SPLITS))


def _write(statistics: statistics_pb2.DatasetFeatureStatisticsList, directory: str) -> None:
    """Writes one file a split, as the stock component does; TFDV gives the slice's key as the data set's name."""
    for dataset in statistics.datasets:
        path = f"{directory}/Split-{dataset.name}/{DEFAULT_FILE_NAME}"
        dataset.ClearField("name")
        with create_file(path) as file:
            file.write(statistics_pb2.DatasetFeatureStatisticsList(datasets=[dataset]).SerializeToString())


class StatisticsGen(base_beam_component.BaseBeamComponent):
    """Statistics of the splits of `examples`."""

    SPEC_CLASS = StatisticsGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, examples: types.BaseChannel, declaration: Declaration) -> None:
        """Constructs the component.

        Args:
          examples: ExampleGen's.
          declaration: Says which columns they have.
        """
        super().__init__(
            StatisticsGenSpec(
                examples=examples,
                declaration=declaration.only().model_dump_json(),
                statistics=types.Channel(type=standard_artifacts.ExampleStatistics),
            )
        )
