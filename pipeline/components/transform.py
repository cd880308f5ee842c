"""Transform: analyses the train split, keeps the transform graph, and writes every split as the model's inputs.

The stock one traces `preprocessing_fn` more often, computes statistics that nothing here reads, and encodes, compresses
and sends each row through Beam; this one writes whole batches in columns.
"""

import functools
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, component_spec, standard_artifacts, system_executions
from tfx.utils import io_utils
from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig

from modules.made_with import fingerprints
from modules.spec import ROW_ID, SPLITS, TRAIN, Declaration
from pipeline.components.reach import scratch_in, within_reach
from pipeline.ingest.examples import ExampleFile, ReadExamples, as_lists, example_files, read_examples
from pipeline.ingest.files import at_hand
from pipeline.ingest.fingerprint import stamped
from pipeline.transform_graph import TransformGraph, form_of


class TransformSpec(component_spec.ComponentSpec):
    PARAMETERS = {
        "preprocessing_fn": component_spec.ExecutionParameter(type=str),
        "declaration": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {
        "transform_graph": component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
        "transformed_examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    TYPE_ANNOTATION = system_executions.Transform


class Executor(base_beam_executor.BaseBeamExecutor):
    """Runs tf.Transform's analysis and `TransformFile` in one Beam pipeline."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        declaration = Declaration.model_validate_json(exec_properties["declaration"])
        schema_uri = artifact_utils.get_single_uri(input_dict["schema"])
        schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema_uri))
        here = artifact_utils.get_single_uri(input_dict["examples"])
        graph_uri = artifact_utils.get_single_uri(output_dict["transform_graph"])
        transformed = artifact_utils.get_single_instance(output_dict["transformed_examples"])

        raw = _only(schema, list(declaration.features))
        form = form_of(raw, declaration)
        preprocess = functools.partial(
            _named(exec_properties["preprocessing_fn"]), custom_config={"declaration": exec_properties["declaration"]}
        )
        outputs = [graph_uri, transformed.uri]
        with (
            within_reach(self._beam_pipeline_args, [here], outputs) as (examples, graph_place, made),
            scratch_in(graph_place) as scratch,
            tft_beam.Context(temp_dir=scratch),
            self._make_beam_pipeline() as pipeline,
        ):
            files = example_files(examples, SPLITS)
            train = (
                pipeline
                | "TrainFiles" >> beam.Create([file for file in files if file[0] == TRAIN])
                | "Read" >> beam.ParDo(ReadExamples(form.arrow_schema.names, declaration))
                | "Rows" >> beam.Values().with_output_types(pa.RecordBatch)
            )
            graph = (train, form) | "Analyse" >> tft_beam.AnalyzeDataset(preprocess)
            _ = graph | "WriteGraph" >> tft_beam.WriteTransformFn(graph_place)
            transform = TransformFile(raw, form, declaration, made)
            saved_model, _ = graph
            _ = (
                pipeline
                | "Files" >> beam.Create(files)
                | "Transform" >> beam.ParDo(transform, beam.pvalue.AsSingleton(saved_model))
            )
        metadata_io.write_metadata(
            dataset_metadata.DatasetMetadata(raw), str(Path(graph_uri, tft.TFTransformOutput.RAW_METADATA_DIR))
        )
        transformed.split_names = artifact_utils.encode_split_names(list(SPLITS))
        examples_utils.set_payload_format(transformed, example_gen_pb2.PayloadFormat.FORMAT_PARQUET)


def _named(name: str) -> Callable[..., Any]:
    """The function of this dotted name."""
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(module), function)


def _only(schema: schema_pb2.Schema, names: list[str]) -> schema_pb2.Schema:
    """The schema of these features alone."""
    raw = schema_pb2.Schema()
    raw.CopyFrom(schema)
    del raw.feature[:]
    raw.feature.extend(feature for feature in schema.feature if feature.name in names)
    return raw


class TransformFile(beam.DoFn):
    """Writes, for each file of examples, one of the same name with the model's inputs in the same rows."""

    def __init__(
        self, raw: schema_pb2.Schema, form: TensorAdapterConfig, declaration: Declaration, directory: str
    ) -> None:
        """Constructs the DoFn.

        Args:
          raw: The schema of the graph's inputs, of which the files carry the fingerprint.
          form: Of the graph's inputs.
          declaration: Its label is taken over as it is, and the row id.
          directory: Where to write.
        """
        self._raw = raw
        self._form = form
        self._declaration = declaration
        self._directory = directory

    def setup(self) -> None:
        self._load = functools.cache(self._loaded)

    def _loaded(self, saved_model: str) -> tuple[TransformGraph, dict[str, str]]:
        with at_hand(saved_model) as directory:
            graph = TransformGraph(directory, self._form)
            return graph, fingerprints(self._raw, directory, self._declaration)

    def process(self, element: tuple[str, str], saved_model: str) -> Iterator[None]:
        split, path = element
        graph, made_with = self._load(saved_model)
        names, kept = self._form.arrow_schema.names, [self._declaration.label.name, ROW_ID]
        with ExampleFile(f"{self._directory}/Split-{split}/{path.rpartition('/')[2]}") as file:
            for batch in read_examples(path, [*names, *kept], self._declaration):
                columns = {name: as_lists(values) for name, values in sorted(graph.inputs(batch).items())}
                columns |= {name: batch.column(name) for name in kept}
                rows = pa.RecordBatch.from_pydict(columns)
                file.write(rows.replace_schema_metadata(stamped(rows.schema, self._declaration, made_with).metadata))
        yield from ()


class Transform(base_beam_component.BaseBeamComponent):
    """Examples to model inputs, as Parquet examples too, and the graph that makes them."""

    SPEC_CLASS = TransformSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        schema: types.BaseChannel,
        declaration: Declaration,
        preprocessing_fn: str,
    ) -> None:
        """Constructs the component.

        Args:
          examples: ExampleGen's.
          schema: Says which features are required, and so the form in which `preprocessing_fn` gets them.
          declaration: Its columns and label are read.
          preprocessing_fn: The dotted name of the function from raw features to model inputs.
        """
        super().__init__(
            TransformSpec(
                examples=examples,
                schema=schema,
                declaration=declaration.only().model_dump_json(),
                preprocessing_fn=preprocessing_fn,
                transform_graph=types.Channel(type=standard_artifacts.TransformGraph),
                transformed_examples=types.Channel(type=standard_artifacts.Examples),
            )
        )
