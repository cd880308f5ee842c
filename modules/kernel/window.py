"""Which events a request sees: times become slots of a tick, and a window is a range of slots.

A request in slot `s` sees, for a window of `length` ticks with a `delay`, the events with `start <= slot < stop`, where
`stop = floor((s - delay) / edge) * edge` and `start = floor((stop - length) / step) * step`.
"""

import dataclasses
from collections.abc import Sequence
from typing import cast

import numpy as np

NEVER = -(2**62)
"""A slot before all others."""


@dataclasses.dataclass(frozen=True)
class Window:
    """A window in ticks; `step` and `edge` are widths of which one divides the other."""

    length: int
    delay: int
    step: int
    edge: int

    def __post_init__(self) -> None:
        if self.length < 1 or self.delay < 0 or self.step < 1 or self.edge < 1:
            raise ValueError(f"{self}: length, step and edge are at least 1 tick, delay at least 0")
        if max(self.step, self.edge) % min(self.step, self.edge):
            raise ValueError(f"{self}: one of step and edge divides the other")

    @property
    def finest(self) -> int:
        """The width that no edge of any request cuts."""
        return min(self.step, self.edge)

    def edges(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`start` (included) and `stop` (excluded) of the slots that requests see; int64, shape (requests,) both.

        >>> Window(length=60, delay=0, step=10, edge=1).edges(np.array([100]))
        (array([40]), array([100]))
        """
        stop = (slots - self.delay) // self.edge * self.edge
        return (stop - self.length) // self.step * self.step, stop


class Windows:
    """Several windows at once: what is a number of a window is a column here."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._count = len(windows)
        self.length, self.delay, self.step, self.edge = (
            np.array([getattr(window, name) for window in windows], np.int64)[:, None]
            for name in ("length", "delay", "step", "edge")
        )

    def edges(self, slots: np.ndarray) -> np.ndarray:
        """`start` and `stop` as those of each window; int64, shape (2, windows, requests).

        Args:
          slots: int64, shape (requests,), or (windows, requests) where they have different ticks.
        """
        found = np.empty((2, self._count, slots.shape[-1]), np.int64)
        found[0], found[1] = Window.edges(cast(Window, self), slots)
        return found


def slots_of(times: np.ndarray, tick: int | np.ndarray) -> np.ndarray:
    """The slots of times in microseconds; int64, shape (times,)."""
    return times // tick


def closed_slots(watermark: int, lateness: int, tick: int) -> int:
    """The slot below which all are closed: `(slot + 1) * tick + lateness <= watermark`, all in microseconds."""
    return (watermark - lateness) // tick


def complete(stops: np.ndarray, watermark: int, lateness: int, tick: int) -> np.ndarray:
    """Whether all events before `stop` that count are merged; bool, of the shape of the stops."""
    return stops <= closed_slots(watermark, lateness, tick)
