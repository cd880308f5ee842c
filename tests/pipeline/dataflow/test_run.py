"""The pipeline's Beam jobs on files of a bucket, and handed to a Dataflow that does none of them."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, standard_artifacts

from modules.spec import EVAL, Declaration, load_declaration
from pipeline.components import evaluator, example_gen, statistics_gen
from pipeline.components.reach import remove_copies, scratch_in, within_reach
from pipeline.ingest.examples import example_files
from pipeline.ingest.files import at_hand, content_of, create_file, files_below, find_files, remove_below
from pipeline.orchestration.pipeline import DIRECT_RUNNER
from tests.pipeline.cli.conftest import Trained, trained
from tests.pipeline.cli.in_process import call
from tests.pipeline.cli.trips import Trips, tree
from tests.pipeline.components.small_examples import artifact
from tests.pipeline.dataflow.cloud import BUCKETS, Cloud

__all__ = ["trained"]
_TEMPORARY = "gs://tb-temp/run"


@pytest.fixture
def rows(here: Cloud, trained: Trained) -> str:
    """The trips in a bucket."""
    here.storage.bucket("tb-data").blob("trips.csv").upload_from_filename(trained.trips.data)
    return "gs://tb-data/trips.csv"


@pytest.fixture
def swept(here: Cloud) -> Iterator[None]:
    """Once a test is over, nothing of it is left in the temporary bucket."""
    yield
    remove_copies()
    assert files_below(_TEMPORARY) == []


def declared(trips: Trips) -> Declaration:
    return load_declaration(trips.features, [f"data={trips.data}"])


def made(trips: Trips, output: str) -> Path:
    """What a component of the run left."""
    [directory] = (trips.output / "artifacts" / output).iterdir()
    return directory


def execute(executor: type[BaseBeamExecutor], directory: Path, inputs: dict[str, Artifact],
            outputs: dict[str, Artifact], **properties: str) -> None:  # fmt: skip
    """Runs an executor here, with files for its workers in the bucket."""
    arguments = [*DIRECT_RUNNER, f"--temp_location={_TEMPORARY}"]
    context = BaseBeamExecutor.Context(beam_pipeline_args=arguments, tmp_dir=str(directory / "tmp"), unique_id="1")
    executor(context).Do(*({key: [one] for key, one in each.items()} for each in (inputs, outputs)), properties)


def a_directory(directory: Path, kind: type[Artifact]) -> Artifact:
    directory.mkdir()
    return artifact(kind, directory)


@pytest.mark.usefixtures("swept")
def test_components_leave_what_they_leave_without_a_bucket(
    here: Cloud, trained: Trained, rows: str, tmp_path: Path
) -> None:
    trips, declaration = trained.trips, declared(trained.trips)
    told = declaration.only().model_dump_json()
    examples = a_directory(tmp_path / "examples", standard_artifacts.Examples)
    files = json.dumps([{"path": file.path, "format": file.format} for file in find_files(rows)])
    outputs = {"examples": examples, "live_values": a_directory(tmp_path / "values", example_gen.LiveValues)}
    execute(example_gen.Executor, tmp_path, {}, outputs, files=files, events="[]", declaration=told)
    assert tree(Path(examples.uri)) == tree(made(trips, "ExampleGen/examples"))

    statistics = a_directory(tmp_path / "statistics", standard_artifacts.ExampleStatistics)
    execute(statistics_gen.Executor, tmp_path, {"examples": examples}, {"statistics": statistics}, declaration=told)
    assert tree(Path(statistics.uri)) == tree(made(trips, "StatisticsGen/statistics"))

    # TFMA's own files are renamed in batches, of which fake-gcs-server answers none; so the step before is called.
    model = made(trips, "Trainer/model") / "Format-Serving"
    with within_reach([f"--temp_location={_TEMPORARY}"], [examples.uri, str(model)], []) as (rows_there, model_there):
        step = evaluator._Score(declaration, {evaluator.CANDIDATE: model_there}, f"{_TEMPORARY}/scores")
        step.setup()
        scored = [batch for _, path in example_files(rows_there, [EVAL]) for batch in step.process(path)]
    with at_hand(f"{_TEMPORARY}/scores") as directory:
        scores = pq.read_table(directory)
    remove_below(f"{_TEMPORARY}/scores")
    assert scores.equals(pq.read_table(made(trips, "Evaluator/evaluation") / "scores"))
    assert sum(map(len, scored)) == len(scores)


@pytest.mark.usefixtures("swept")
def test_what_was_copied_is_not_copied_again(here: Cloud, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    for path in (source / "Split-train" / "rows", source / ".hidden" / "x"):
        path.parent.mkdir(parents=True)
        path.write_text(path.name)
    arguments = [f"--temp_location={_TEMPORARY}"]
    with within_reach(arguments, [str(source)], [str(target)]) as (given, taken):
        assert files_below(given) == [f"{given}/Split-train/rows"]
        with scratch_in(taken) as scratch, create_file(f"{scratch}/x") as file:
            file.write(b"no output")
        assert files_below(taken) == []
        with create_file(f"{taken}/below/y") as file:
            file.write(b"an output")
        assert not target.exists()
    assert tree(target) == {"below": b"", "below/y": b"an output"}
    with within_reach(arguments, [str(source), str(target)], []) as again:
        assert again == [given, taken]
        with at_hand(again[1]) as directory:
            assert tree(Path(directory)) == tree(target)
    with within_reach(["--temp_location=/tmp"], [str(source)], [str(target)]) as places:
        assert places == [str(source), str(target)]


@pytest.mark.usefixtures("swept")
def test_nothing_comes_of_a_job_that_fails(here: Cloud, tmp_path: Path) -> None:
    target = tmp_path / "out"
    with (
        contextlib.suppress(ZeroDivisionError),
        within_reach([f"--temp_location={_TEMPORARY}"], [], [str(target)]) as (taken,),
    ):
        with create_file(f"{taken}/half") as file:
            file.write(b"half of it")
        raise ZeroDivisionError
    assert not target.exists()


def test_an_object_that_changes_is_other_content(here: Cloud, tmp_path: Path) -> None:
    blob = here.storage.bucket("tb-data").blob("rows.csv")
    blob.upload_from_string("a,b\n1,2\n")
    before = content_of("gs://tb-data/rows.csv")
    assert content_of("gs://tb-data/rows.csv") == before
    blob.upload_from_string("a,b\n1,3\n")
    assert content_of("gs://tb-data/rows.csv") != before


def run(trips: Trips, settings_file: Path, data: str, output: Path) -> Any:
    return call(
        "run", "--runner=dataflow", "--dataflow", settings_file, "--features", trips.features, "--data", data,
        "--output", output,
    )  # fmt: skip


def test_the_job_that_dataflow_is_asked_for(
    here: Cloud, trained: Trained, rows: str, settings_file: Path, tmp_path: Path
) -> None:
    ran = run(trained.trips, settings_file, rows, tmp_path / "build")
    assert ran.exit_code == 4, ran.err  # for this Dataflow does nothing and calls it done
    assert "summary.json: the job ended without a report" in ran.err
    assert list((tmp_path / "build").glob("serving_model/*")) == []
    [job] = here.dataflow.jobs
    environment = job["environment"]
    [pool] = environment["workerPools"]
    assert job["name"] == "trips-run"
    assert job["labels"].items() >= {"team": "data", "tfx_executor": "third_party_executor"}.items()
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 5
    assert pool["workerHarnessContainerImage"].endswith("twinbeam/stream:0.1.0")
    assert "tfx" in environment["sdkPipelineOptions"]["options"]["beam_plugins"]
    steps = {step.unique_name for step in here.pipeline(job).components.transforms.values()}
    assert {"Ingest/CountTimes", "Ingest/Write", "WriteSummary"} <= {step.partition("/ParDo")[0] for step in steps}
    assert "workflow.tar.gz" in here.staged(job)
    assert [path for path in files_below("gs://tb-temp") if "/artifacts/" in path] == []
    assert here.buckets() == BUCKETS


def test_rows_of_this_machine_are_refused_before_anything_is_submitted(
    here: Cloud, trained: Trained, settings_file: Path, tmp_path: Path
) -> None:
    before = len(here.dataflow.jobs)
    ran = run(trained.trips, settings_file, str(trained.trips.data), tmp_path / "build")
    assert ran.exit_code == 4
    assert f"{trained.trips.data}: workers of Dataflow do not reach it. Copy it to a bucket" in ran.err
    assert len(here.dataflow.jobs) == before


def test_settings_without_the_runner_are_refused(trained: Trained) -> None:
    ran = trained.trips.call("run", "--job-name", "mine")
    assert ran.exit_code == 2
    assert "these go with --runner dataflow" in " ".join(ran.err.replace("│", " ").split())
