"""The TFX graph: one component a paragraph, in the order in which they run."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from tfx.components.schema_gen.component import SchemaGen
from tfx.components.trainer.component import Trainer
from tfx.components.tuner.component import Tuner
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver, ResolverStrategy
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2
from tfx.types import standard_artifacts
from tfx.types.channel import Channel

from modules.spec import TRAIN, VALIDATION, Declaration
from pipeline.components.ablation import Ablation
from pipeline.components.baseline import LastOtherBlessedModel
from pipeline.components.curated_schema import CuratedSchema
from pipeline.components.evaluator import Evaluator
from pipeline.components.example_gen import ExampleGen
from pipeline.components.example_validator import ExampleValidator
from pipeline.components.parity_gate import ParityGate
from pipeline.components.pusher import Pusher
from pipeline.components.statistics_gen import StatisticsGen
from pipeline.components.transform import Transform
from pipeline.ingest.files import InputFile
from pipeline.orchestration.digests import ROOT

DIRECT_RUNNER = ("--runner=FnApiRunner", "--beam_plugins=tfx", f"--setup_file={ROOT / 'setup.py'}")
"""Beam's portable direct runner, in this process; `DirectRunner` itself would first try to download another one.
Worker processes import tfx before anything else, which TFDV needs. Without a setup file, which nothing reads here, TFX
would pack itself anew for each component."""


@dataclasses.dataclass(frozen=True)
class PipelineInputs:
    """What one pipeline is made of."""

    declaration: Declaration
    schema: str
    """The curated schema, and what the declaration says of the live features; in text format."""
    files: list[InputFile]
    events: list[tuple[str, InputFile]]
    """The history of the live features' sources, each file with its source."""
    content: str
    """A digest of what all these files hold."""
    code: str
    """A digest of the code: TFX's cache does not see behind the dotted names below."""
    trials: int
    """How many sets of hyperparameters the Tuner tries; 0: there is no Tuner."""
    serving_dir: str
    """Where the model's versions are pushed: a directory, or gs://BUCKET/PATH."""
    provenance: dict[str, str]
    """What the pushed model says of its making; it names the run, so that the Pusher is never taken from the cache."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one pipeline runs and leaves what it makes."""

    artifacts: str
    """Where components leave their outputs: a directory, or a URI."""
    metadata: Path | None
    """ML Metadata's SQLite file; None where the orchestrator keeps metadata itself."""
    baseline: type[ResolverStrategy] | None
    """How the last blessed model is found; None: it is not, and a new one is compared with none."""
    cache: bool
    """Whether a component with unchanged inputs may reuse its last output."""
    beam_args: Sequence[str]
    """Beam's pipeline options."""


def describe_data(inputs: PipelineInputs) -> tuple[ExampleGen, StatisticsGen, SchemaGen]:
    """The components that say what the data is, before anything judges it."""
    example_gen = ExampleGen(inputs.files, inputs.events, inputs.content, inputs.declaration)
    statistics_gen = StatisticsGen(example_gen.outputs["examples"], inputs.declaration)
    schema_gen = SchemaGen(statistics=statistics_gen.outputs["statistics"], infer_feature_shape=True)
    return example_gen, statistics_gen, schema_gen


def data_pipeline(inputs: PipelineInputs, place: Place) -> Pipeline:
    """ExampleGen, StatisticsGen and SchemaGen alone."""
    return _pipeline(inputs, place, list(describe_data(inputs)))


def training_pipeline(inputs: PipelineInputs, place: Place) -> Pipeline:
    """The whole pipeline, ready for any TFX runner."""
    declaration = inputs.declaration
    example_gen, statistics_gen, schema_gen = describe_data(inputs)
    examples = example_gen.outputs["examples"]

    curated = CuratedSchema(inputs.schema)
    schema = curated.outputs["schema"]

    example_validator = ExampleValidator(examples, statistics_gen.outputs["statistics"], schema)

    transform = Transform(examples, schema, declaration, "modules.preprocessing.preprocessing_fn")
    transform.add_upstream_node(example_validator)

    learning = {"declaration": declaration.only("training", "tuning").model_dump_json(), "trials": inputs.trials}
    splits = {
        "train_args": trainer_pb2.TrainArgs(splits=[TRAIN], num_steps=declaration.training.steps),
        "eval_args": trainer_pb2.EvalArgs(splits=[VALIDATION]),
    }
    tuner = Tuner(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        tuner_fn="modules.tuner.tuner_fn",
        custom_config=learning,
        **splits,
    )

    hyperparameters = tuner.outputs["best_hyperparameters"] if inputs.trials else None
    seeds = declaration.evaluation.ablation_seeds
    ablation = Ablation(transform.outputs["transformed_examples"], hyperparameters, declaration, seeds)

    trainer = Trainer(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        hyperparameters=hyperparameters,
        run_fn="modules.trainer.run_fn",
        custom_config=learning,
        **splits,
    )

    baseline = _baseline(place.baseline, trainer) if place.baseline else None
    before = baseline.outputs["baseline_model"] if baseline else None
    evaluator = Evaluator(examples, trainer.outputs["model"], before, declaration)

    parity_gate = ParityGate(
        examples=examples,
        live_values=example_gen.outputs["live_values"],
        schema=schema,
        transform_graph=transform.outputs["transform_graph"],
        transformed_examples=transform.outputs["transformed_examples"],
        model=trainer.outputs["model"],
        evaluation=evaluator.outputs["evaluation"],
        events=inputs.events,
        declaration=declaration,
    )

    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=parity_gate.outputs["blessing"],
        base=inputs.serving_dir,
        provenance=inputs.provenance,
    )

    components = [example_gen, statistics_gen, schema_gen, curated, example_validator, transform]
    asked_for = [*([tuner] if inputs.trials else []), *([ablation] if seeds else [])]
    found = [baseline] if baseline else []
    return _pipeline(inputs, place, [*components, *asked_for, trainer, *found, evaluator, parity_gate, pusher])


def _baseline(strategy: type[ResolverStrategy], trainer: Trainer) -> Resolver:
    """Finds the model that the trainer's is compared with."""
    own = {"model": trainer.outputs["model"]} if strategy is LastOtherBlessedModel else {}
    return Resolver(
        strategy_class=strategy,
        baseline_model=Channel(type=standard_artifacts.Model),
        blessing=Channel(type=standard_artifacts.ModelBlessing),
        **own,
    ).with_id("Baseline")


def _pipeline(inputs: PipelineInputs, place: Place, components: list[BaseNode]) -> Pipeline:
    for component in components:
        if isinstance(component, BaseComponent):
            component.spec.exec_properties["code"] = inputs.code
    return Pipeline(
        pipeline_name=inputs.declaration.dataset,
        pipeline_root=place.artifacts,
        components=components,
        enable_cache=place.cache,
        metadata_connection_config=sqlite_metadata_connection_config(str(place.metadata)) if place.metadata else None,
        beam_pipeline_args=list(place.beam_args),
    )
