"""Shapes in the units of an SVG's viewBox, y downwards; `templates/plot.html` draws them as they are."""

import dataclasses
from collections.abc import Iterable, Sequence

from pipeline.report.axis import Axis


@dataclasses.dataclass(frozen=True)
class Path:
    """A line, or an area's outline, as SVG's path data."""

    data: str
    style: str
    """CSS classes."""
    title: str = ""
    """What a pointer that rests on it is told."""


@dataclasses.dataclass(frozen=True)
class Dot:
    """A filled circle."""

    x: float
    y: float
    radius: float
    style: str
    title: str = ""


@dataclasses.dataclass(frozen=True)
class Text:
    """A short text; `x`, `y` is its baseline's start, middle or end, as `anchor` says."""

    x: float
    y: float
    text: str
    anchor: str = "middle"
    style: str = ""


@dataclasses.dataclass(frozen=True)
class Mark:
    """A tick: its place on the page and its text."""

    at: float
    text: str


@dataclasses.dataclass(frozen=True)
class Key:
    """One entry of a legend."""

    text: str
    style: str


@dataclasses.dataclass(frozen=True)
class Plot:
    """A drawing with axes."""

    name: str
    """Its heading, and its title for a screen reader."""
    description: str
    """What it shows, for who cannot see it."""
    width: float
    height: float
    left: float
    right: float
    """The ends of the x axis on the page."""
    top: float
    bottom: float
    """The ends of the y axis on the page."""
    x_marks: tuple[Mark, ...]
    y_marks: tuple[Mark, ...]
    x_name: str
    y_name: str
    paths: tuple[Path, ...] = ()
    dots: tuple[Dot, ...] = ()
    texts: tuple[Text, ...] = ()
    keys: tuple[Key, ...] = ()
    note: str = ""
    """A line below it."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """Where values lie on the page."""

    x: Axis
    y: Axis
    width: float = 520
    height: float = 330
    left_margin: float = 42
    right_margin: float = 16
    top_margin: float = 14
    bottom_margin: float = 44

    @property
    def left(self) -> float:
        return self.left_margin

    @property
    def right(self) -> float:
        return self.width - self.right_margin

    @property
    def top(self) -> float:
        return self.top_margin

    @property
    def bottom(self) -> float:
        return self.height - self.bottom_margin

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place of a value, held inside the frame."""
        across = self.left + self.x.share(x) * (self.right - self.left)
        return across, self.bottom - self.y.share(y) * (self.bottom - self.top)

    def line(self, xs: Iterable[float], ys: Iterable[float]) -> str:
        """Path data through values."""
        return line([self.at(float(x), float(y)) for x, y in zip(xs, ys, strict=True)])

    def steps(self, edges: Sequence[float], heights: Sequence[float], closed: bool) -> str:
        """Path data of a histogram's outline: height `i` between edges `i` and `i + 1`.

        Args:
          edges: One more than heights, ascending.
          heights: Values on the y axis.
          closed: Whether it is an area down to the y axis's low end, or the line alone.
        """
        points = [self.at(edges[0], self.y.low)]
        for low, high, height in zip(edges, edges[1:], heights, strict=False):
            points += [self.at(low, height), self.at(high, height)]
        points.append(self.at(edges[-1], self.y.low))
        return line(points) + ("Z" if closed else "")

    def stairs(self, edges: Sequence[float], heights: Iterable[float]) -> str:
        """Path data of a line that goes level between edges `i` and `i + 1` at height `i`."""
        points = []
        for low, high, height in zip(edges, edges[1:], heights, strict=False):
            points += [self.at(float(low), float(height)), self.at(float(high), float(height))]
        return line(points)

    def plot(
        self,
        name: str,
        description: str,
        paths: Iterable[Path] = (),
        dots: Iterable[Dot] = (),
        texts: Iterable[Text] = (),
        keys: Iterable[Key] = (),
        note: str = "",
    ) -> Plot:
        """The drawing of shapes that were placed with this frame."""
        return Plot(
            name=name,
            description=description,
            width=self.width,
            height=self.height,
            left=self.left,
            right=self.right,
            top=self.top,
            bottom=self.bottom,
            x_marks=tuple(Mark(self.at(tick.at, self.y.low)[0], tick.text) for tick in self.x.ticks),
            y_marks=tuple(Mark(self.at(self.x.low, tick.at)[1], tick.text) for tick in self.y.ticks),
            x_name=self.x.name,
            y_name=self.y.name,
            paths=tuple(paths),
            dots=tuple(dots),
            texts=tuple(texts),
            keys=tuple(keys),
            note=note,
        )


def line(points: Sequence[tuple[float, float]]) -> str:
    """Path data: straight from point to point."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""


def rounded(points: Sequence[tuple[float, float]], radius: float) -> str:
    """Path data through points, with corners cut round; every leg is horizontal or vertical."""
    if len(points) < 3:
        return line(points)
    data = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        into, out = _towards(corner, before, radius), _towards(corner, after, radius)
        data += f"L{into[0]:.1f} {into[1]:.1f}Q{corner[0]:.1f} {corner[1]:.1f} {out[0]:.1f} {out[1]:.1f}"
    return data + f"L{points[-1][0]:.1f} {points[-1][1]:.1f}"


def _towards(start: tuple[float, float], end: tuple[float, float], distance: float) -> tuple[float, float]:
    """The point `distance` from start, but no more than halfway to the end."""
    across, down = end[0] - start[0], end[1] - start[1]
    length = abs(across) + abs(down)
    share = min(distance, length / 2) / length if length else 0.0
    return start[0] + across * share, start[1] + down * share
