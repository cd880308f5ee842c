import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.components.baseline import LastOtherBlessedModel
from pipeline.orchestration.pipeline import PipelineInputs, Place, training_pipeline
from pipeline.report.graph import EDGES, graph
from pipeline.report.timings import timings
from pipeline.results.record import ComponentRecord
from tests.artifacts import taxi


def _record(name: str, seconds: float = 1.0, cached: bool = False) -> ComponentRecord:
    return ComponentRecord(name=name, seconds=seconds, cached=cached, figure="")


@pytest.mark.parametrize("seeds", [0, 5])
@pytest.mark.parametrize("trials", [0, 3])
def test_the_edges_are_those_of_the_pipeline(trials: int, seeds: int, tmp_path: Path) -> None:
    inputs = PipelineInputs(
        declaration=taxi(f"evaluation.ablation_seeds={seeds}"),
        schema="",
        files=[],
        events=[],
        content="",
        code="",
        trials=trials,
        serving_dir=str(tmp_path / "serving"),
        provenance={},
    )
    pipeline = training_pipeline(
        inputs, Place(str(tmp_path), tmp_path / "metadata.db", LastOtherBlessedModel, True, [])
    )
    real = {(before.id, after.id) for after in pipeline.components for before in after.upstream_nodes}
    drawn = graph([_record(component.id) for component in pipeline.components])
    assert {tuple(path.title.split(" to ")) for path in drawn.edges if path.title} == real
    assert real <= EDGES.keys()
    assert len(drawn.boxes) == len(pipeline.components)


ALL = sorted({name for edge in EDGES for name in edge})


@pytest.mark.parametrize("without", [set(), {"Tuner"}, {"Ablation"}, {"Tuner", "Ablation"}])
def test_boxes_do_not_overlap_and_lie_inside(without: set[str]) -> None:
    drawn = graph(_record(name) for name in ALL if name not in without)
    for index, box in enumerate(drawn.boxes):
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= drawn.width
        assert box.y + box.height <= drawn.height
        for other in drawn.boxes[index + 1 :]:
            assert (
                box.x + box.width < other.x
                or other.x + other.width < box.x
                or box.y + box.height < other.y
                or other.y + other.height < box.y
            ), (box.name, other.name)


@pytest.mark.parametrize("without", [set(), {"Tuner"}, {"Ablation"}, {"Tuner", "Ablation"}])
def test_no_edge_passes_through_a_box(without: set[str]) -> None:
    drawn = graph(_record(name) for name in ALL if name not in without)
    for path in drawn.edges:
        if path.title:
            points = np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", path.data), float)
            along = np.concatenate([np.linspace(a, b, 200) for a, b in itertools.pairwise(points)])
            for box in drawn.boxes:
                inside = (np.abs(along - (box.x + box.width / 2, box.y + box.height / 2))
                          < (box.width / 2 - 0.5, box.height / 2 - 0.5)).all(axis=1)  # fmt: skip
                assert not inside.any(), (path.title, box.name)


def test_without_tuner_and_ablation_their_column_closes() -> None:
    tuned = graph(map(_record, ALL))
    plain = graph(_record(name) for name in ALL if name not in ("Tuner", "Ablation"))
    ablated = graph(_record(name) for name in ALL if name != "Tuner")
    assert plain.width < tuned.width == ablated.width
    assert plain.height == ablated.height < tuned.height
    assert max(box.x + box.width for box in plain.boxes) <= plain.width
    assert not [path.title for path in plain.edges if "Tuner" in path.title]


def test_a_straight_edge_goes_from_box_to_box() -> None:
    drawn = graph([_record("Evaluator"), _record("ParityGate", cached=True)])
    start, end = drawn.boxes
    y = start.y + start.height / 2
    assert drawn.edges[0].data == f"M{start.x + start.width:.1f} {y:.1f}L{end.x:.1f} {y:.1f}"
    assert drawn.edges[1].data.startswith(f"M{end.x:.1f} {y:.1f}")  # the arrow's tip
    assert [box.reused for box in drawn.boxes] == [False, True]
    assert drawn.description == "2 components, 1 of them reused. Evaluator to ParityGate"


def test_timings_follow_each_other() -> None:
    rows = timings([_record("ExampleGen", 1.0), _record("Trainer", 3.0, cached=True)])
    assert [(row.start, row.length, row.reused) for row in rows] == [(0, 25, False), (25, 75, True)]


def test_timings_of_a_run_that_took_no_time() -> None:
    assert [row.length for row in timings([_record("ExampleGen", 0.0)])] == [0]
