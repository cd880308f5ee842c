"""What a check of the parity gate found."""

import dataclasses

import numpy as np

from modules.kernel.explain import Counted

FIRST = 10
"""How many differences of a check are kept."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """One value that differs."""

    feature: str
    """The feature's name, or which score it is."""
    key: dict[str, str]
    """Whose value it is: the columns of the key, or the row's id."""
    time: int | None
    """Of the request, in microseconds; None where a row has no time."""
    expected: str
    found: str
    """The values, as Python writes them."""
    expected_bits: str
    found_bits: str
    """Two hexadecimal digits a byte, the greatest first."""
    expected_events: Counted | None = None
    found_events: Counted | None = None
    """Of a live feature, what each side made its value from; kept of the first few."""
    explain: str = ""
    """The command that shows these events one by one; empty where there are none."""

    def __str__(self) -> str:
        key = ", ".join(f"{name}={value}" for name, value in self.key.items())
        time = "" if self.time is None else f" at {np.datetime64(self.time, 'us')}Z"
        return (
            f"{self.feature} of {key}{time}: expected {self.expected} ({self.expected_bits}), "
            f"found {self.found} ({self.found_bits})"
        )

    @property
    def events(self) -> str:
        """What each side made its value from, in words; empty where that is not known."""
        sides = (("expected", self.expected_events), ("found", self.found_events))
        return "; ".join(f"{side} of {each}" for side, each in sides if each)


@dataclasses.dataclass(frozen=True)
class Check:
    """One check, and what it found."""

    name: str
    passed: bool
    compared: int
    """Values that were compared."""
    differing: int
    """Those of them of which a bit differs."""
    sentence: str
    """What was found, in words."""
    differences: tuple[Difference, ...] = ()
    """The first few."""

    def __post_init__(self) -> None:
        if self.passed and (self.differing or not self.compared):
            raise ValueError(f"{self.name}: passed, with {self.differing} of {self.compared} values that differ")
        if len(self.differences) > min(self.differing, FIRST):
            raise ValueError(f"{self.name}: shows {len(self.differences)} differences of {self.differing}")
