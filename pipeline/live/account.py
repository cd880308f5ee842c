"""What a backfill read, counted and refused: nothing is dropped in silence."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable
from typing import Self

from pipeline.ingest.problems import Problem, merge

_EXAMPLES = 3


@dataclasses.dataclass(frozen=True)
class Rejection:
    """Events of a source that do not count, for one reason."""

    source: str
    reason: str
    """schema, value, late or future, as in `pipeline/live/parse.py`."""
    detail: str
    """What is accepted, in words."""
    count: int
    """How many events."""
    examples: tuple[str, ...]
    """`path, row N` for the first few; rows are counted from 1, the header not included."""

    def __str__(self) -> str:
        events = "1 event" if self.count == 1 else f"{self.count:,} events"
        return f"{self.source}, {events} ({self.reason}): {self.detail}; {'; '.join(self.examples)}."


@dataclasses.dataclass
class Account:
    """What was read and what became of it."""

    events: dict[str, int] = dataclasses.field(default_factory=dict)
    """Events read, by source."""
    rejections: list[Rejection] = dataclasses.field(default_factory=list)
    """Events that do not count."""
    without_key: dict[str, int] = dataclasses.field(default_factory=dict)
    """Events that belong to no row, because a value of the key is null; by entity."""
    repeated: dict[str, int] = dataclasses.field(default_factory=dict)
    """Events that repeat another, by entity."""
    requests: int = 0
    """Requests read."""
    problems: list[Problem] = dataclasses.field(default_factory=list)
    """What is wrong with requests; if there is anything, none is answered."""
    unreadable: list[str] = dataclasses.field(default_factory=list)
    """Why a file could not be read at all. Kept as text, for a runner turns exceptions into errors of its own."""

    @property
    def counted(self) -> dict[str, int]:
        """Events that count, by source; those that repeat another are among them."""
        rejected: Counter[str] = Counter()
        for rejection in self.rejections:
            rejected[rejection.source] += rejection.count
        return {source: read - rejected[source] for source, read in self.events.items()}

    @property
    def refused(self) -> bool:
        """Whether no request is to be answered."""
        return bool(self.problems or self.unreadable)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        fields = json.loads(text)
        for name, kind in (("rejections", Rejection), ("problems", Problem)):
            fields[name] = [kind(**{**part, "examples": tuple(part["examples"])}) for part in fields[name]]
        return cls(**fields)

    @classmethod
    def total(cls, accounts: Iterable[Self]) -> Self:
        parts = list(accounts)
        return cls(
            events=_add(part.events for part in parts),
            rejections=_merge(rejection for part in parts for rejection in part.rejections),
            without_key=_add(part.without_key for part in parts),
            repeated=_add(part.repeated for part in parts),
            requests=sum(part.requests for part in parts),
            problems=merge(problem for part in parts for problem in part.problems),
            unreadable=sorted({reason for part in parts for reason in part.unreadable}),
        )


def _merge(rejections: Iterable[Rejection]) -> list[Rejection]:
    """Adds up those of the same source, reason and detail, the first examples kept."""
    merged: dict[tuple[str, str, str], Rejection] = {}
    for rejection in rejections:
        kind = rejection.source, rejection.reason, rejection.detail
        if known := merged.get(kind):
            examples = (*known.examples, *rejection.examples)[:_EXAMPLES]
            rejection = dataclasses.replace(known, count=known.count + rejection.count, examples=examples)
        merged[kind] = dataclasses.replace(rejection, examples=rejection.examples[:_EXAMPLES])
    return list(merged.values())


def _add(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in counts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    return total
