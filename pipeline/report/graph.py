"""The pipeline's graph, laid out by hand on a grid, so that no edge crosses another.

`pipeline/orchestration/pipeline.py` is the graph's source; a test holds EDGES to it.
"""

import dataclasses
from collections.abc import Iterable
from typing import Literal

from pipeline.report.numbers import duration
from pipeline.report.plot import Path, line, rounded
from pipeline.results.record import ComponentRecord

Route = Literal["along", "up", "down", "step", "rise", "over", "under"]
"""along: straight to the right; up, down: straight up or down; step: to the next column and another row; rise: along
its own row, then up; over, under: by the lane above or below all boxes."""

_PLACES = {
    "ExampleGen": (0, 1),
    "StatisticsGen": (1, 1),
    "SchemaGen": (1, 0),
    "CuratedSchema": (1, 2),
    "ExampleValidator": (2, 1),
    "Transform": (3, 1),
    "Tuner": (4, 2),
    "Ablation": (4, 3),
    "Trainer": (5, 1),
    "Baseline": (6, 2),
    "Evaluator": (7, 1),
    "ParityGate": (8, 1),
    "Pusher": (9, 1),
}
"""Column and row of each component; without a Tuner the Ablation has its place."""

EDGES: dict[tuple[str, str], Route] = {
    ("ExampleGen", "StatisticsGen"): "along",
    ("ExampleGen", "ExampleValidator"): "over",
    ("ExampleGen", "Transform"): "over",
    ("ExampleGen", "Evaluator"): "over",
    ("ExampleGen", "ParityGate"): "over",
    ("StatisticsGen", "SchemaGen"): "up",
    ("StatisticsGen", "ExampleValidator"): "along",
    ("CuratedSchema", "ExampleValidator"): "rise",
    ("CuratedSchema", "Transform"): "rise",
    ("CuratedSchema", "ParityGate"): "under",
    ("ExampleValidator", "Transform"): "along",
    ("Transform", "Tuner"): "step",
    ("Transform", "Ablation"): "step",
    ("Transform", "Trainer"): "along",
    ("Transform", "ParityGate"): "over",
    ("Tuner", "Ablation"): "down",
    ("Tuner", "Trainer"): "step",
    ("Trainer", "Baseline"): "step",
    ("Trainer", "Evaluator"): "along",
    ("Trainer", "ParityGate"): "under",
    ("Trainer", "Pusher"): "under",
    ("Baseline", "Evaluator"): "step",
    ("Evaluator", "ParityGate"): "along",
    ("Evaluator", "Pusher"): "over",
    ("ParityGate", "Pusher"): "along",
}
"""(from, to): what `to` needs of `from`, or waits for; and how the edge runs."""

_BOX_WIDTH, _BOX_HEIGHT, _GAP, _ROW_GAP, _LANE, _MARGIN, _RADIUS, _ARROW = 126.0, 48.0, 26.0, 26.0, 22.0, 4.0, 8.0, 6.0


@dataclasses.dataclass(frozen=True)
class Box:
    """A component on the page."""

    name: str
    x: float
    y: float
    width: float
    height: float
    time: str
    reused: bool
    figure: str


@dataclasses.dataclass(frozen=True)
class Graph:
    """The components that ran, and the edges between them."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    edges: tuple[Path, ...]
    description: str


def graph(components: Iterable[ComponentRecord]) -> Graph:
    """Lays out the components that ran; without a Tuner and an Ablation their column closes."""
    ran = {component.name: component for component in components}
    places = {name: _PLACES[name] for name in ran}
    if "Ablation" in ran and "Tuner" not in ran:
        places["Ablation"] = _PLACES["Tuner"]
    columns = sorted({column for column, _ in places.values()})
    rows = 1 + max(row for _, row in places.values())
    boxes = {}
    for name, component in ran.items():
        column, row = places[name]
        boxes[name] = Box(
            name=name,
            x=_MARGIN + columns.index(column) * (_BOX_WIDTH + _GAP),
            y=_MARGIN + _LANE + row * (_BOX_HEIGHT + _ROW_GAP),
            width=_BOX_WIDTH,
            height=_BOX_HEIGHT,
            time=duration(component.seconds),
            reused=component.cached,
            figure=component.figure,
        )
    height = 2 * (_MARGIN + _LANE) + rows * _BOX_HEIGHT + (rows - 1) * _ROW_GAP
    present = {edge: route for edge, route in EDGES.items() if ran.keys() >= set(edge)}
    reused = sum(component.cached for component in ran.values())
    return Graph(
        width=2 * _MARGIN + len(columns) * (_BOX_WIDTH + _GAP) - _GAP,
        height=height,
        boxes=tuple(boxes.values()),
        edges=tuple(
            path
            for (start, end), route in present.items()
            for path in _edge(_points(boxes[start], boxes[end], route, height), f"{start} to {end}")
        ),
        description=f"{len(ran)} components, {reused} of them reused. "
        + ", ".join(f"{start} to {end}" for start, end in present),
    )


def _points(start: Box, end: Box, route: Route, height: float) -> list[tuple[float, float]]:
    start_x, start_y = start.x + start.width / 2, start.y + start.height / 2
    end_x, end_y = end.x + end.width / 2, end.y + end.height / 2
    if route == "up":
        return [(start_x, start.y), (end_x, end.y + end.height)]
    if route == "down":
        return [(start_x, start.y + start.height), (end_x, end.y)]
    if route == "rise":
        return [(start.x + start.width, start_y), (end_x, start_y), (end_x, end.y + end.height)]
    if route == "over":
        lane = _MARGIN
        return [(start_x, start.y), (start_x, lane), (end_x, lane), (end_x, end.y)]
    if route == "under":
        lane = height - _MARGIN
        return [(start_x, start.y + start.height), (start_x, lane), (end_x, lane), (end_x, end.y + end.height)]
    right = (start.x + start.width, start_y)
    if route == "along":
        return [right, (end.x, end_y)]
    bend = right[0] + _GAP / 2 if start_y < end_y else end.x - _GAP / 2
    return [right, (bend, start_y), (bend, end_y), (end.x, end_y)]


def _edge(points: list[tuple[float, float]], title: str) -> tuple[Path, Path]:
    """The line and its arrowhead."""
    (x, y), (before_x, before_y) = points[-1], points[-2]
    across, down = _sign(x - before_x), _sign(y - before_y)
    foot_x, foot_y = x - across * _ARROW, y - down * _ARROW
    head = [
        (x, y),
        (foot_x - down * _ARROW / 2, foot_y + across * _ARROW / 2),
        (foot_x + down * _ARROW / 2, foot_y - across * _ARROW / 2),
    ]
    return Path(rounded(points, _RADIUS), "edge", title), Path(line(head) + "Z", "arrow")


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
