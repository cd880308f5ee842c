"""The statistics of all splits in one pass are those that TFDV gives of each split alone."""

from pathlib import Path

import apache_beam as beam
import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.types import Artifact, artifact_utils, standard_artifacts

import tensorflow_data_validation as tfdv  # isort: skip (it can only be imported after tfx)

from modules.spec import ROW_ID, SPLITS
from pipeline.components.statistics_gen import Executor
from pipeline.ingest.examples import ReadExamples, example_files, example_types
from tests.pipeline.components.small_examples import artifact, context, declaration, examples


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("statistics")


@pytest.fixture(scope="module")
def statistics(directory: Path) -> Artifact:
    made = artifact(standard_artifacts.ExampleStatistics, directory / "statistics")
    Executor(context(directory)).Do(
        {"examples": [examples(directory / "examples")]},
        {"statistics": [made]},
        {"declaration": declaration().model_dump_json()},
    )
    return made


def test_the_splits_are_found_as_tfx_finds_them(statistics: Artifact) -> None:
    assert artifact_utils.decode_split_names(statistics.split_names) == list(SPLITS)
    rows = [
        stats_artifact_utils.load_statistics(statistics, split).proto().datasets[0].num_examples for split in SPLITS
    ]
    assert rows == [7, 1, 2]


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_alone_has_the_same_statistics(
    directory: Path, statistics: Artifact, split: str, tmp_path: Path
) -> None:
    columns = [name for name in example_types(declaration()) if name != ROW_ID]
    with beam.Pipeline(argv=["--runner=FnApiRunner"]) as pipeline:
        _ = (
            pipeline
            | beam.Create(example_files(str(directory / "examples"), [split]))
            | beam.ParDo(ReadExamples(columns, declaration()))
            | beam.Values()
            | tfdv.GenerateStatistics()
            | tfdv.WriteStatisticsToBinaryFile(str(tmp_path / "alone"))
        )
    alone = statistics_pb2.DatasetFeatureStatisticsList.FromString((tmp_path / "alone").read_bytes())
    assert stats_artifact_utils.load_statistics(statistics, split).proto() == alone
    assert {feature.path.step[0] for feature in alone.datasets[0].features} == set(columns)
