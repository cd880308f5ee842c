"""What became of requests that were to be scored."""

import dataclasses
import json
from collections.abc import Iterable
from typing import Self


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many requests, and why some could not be looked up. As data, for a runner turns errors into its own."""

    scored: int = 0
    """Requests that have a score."""
    too_old: int = 0
    """Requests that have none, because the store does not answer for their time any more."""
    incomplete: int = 0
    """Requests whose score is made from a live value that does not hold all events that count."""
    away: tuple[str, ...] = ()
    """Why the store could not be asked."""

    @classmethod
    def total(cls, counts: Iterable[Self]) -> Self:
        parts = list(counts)
        return cls(
            scored=sum(part.scored for part in parts),
            too_old=sum(part.too_old for part in parts),
            incomplete=sum(part.incomplete for part in parts),
            away=tuple(sorted({reason for part in parts for reason in part.away})),
        )

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        fields = json.loads(text)
        return cls(**fields | {"away": tuple(fields["away"])})
