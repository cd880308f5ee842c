"""A request that is not answered, as its caller is told."""

import dataclasses
from collections.abc import Sequence

MOST_PROBLEMS = 100
"""How many problems one reply lists."""
RETRY_AFTER_S = 1
"""What a caller is told to wait while something is away."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is wrong at one place of a request."""

    row: int | None
    """The request's number in the body, from 0; None where it is about no row."""
    field: str | None
    """The field's name; None where it is about no field."""
    message: str


class Refusal(Exception):
    """Why a request is not answered."""

    def __init__(
        self, status: int, message: str, problems: Sequence[Problem] = (), headers: dict[str, str] | None = None
    ) -> None:
        """Args.

        Args:
          status: The reply's HTTP status: 4xx, 503 or 504.
          message: What is wrong, and how to mend it.
          problems: Each place where it is wrong.
          headers: More of the reply's.
        """
        super().__init__(message)
        self.status, self.message, self.problems, self.headers = status, message, tuple(problems), headers or {}


def of_fields(problems: Sequence[Problem]) -> Refusal:
    """The refusal of rows that do not fit: 422."""
    left_out = len(problems) - MOST_PROBLEMS
    more = f" The first {MOST_PROBLEMS} are listed." if left_out > 0 else ""
    count = "1 problem" if len(problems) == 1 else f"{len(problems):,} problems"
    message = f"The request does not fit the declaration: {count}.{more} Mend each field as its message says."
    return Refusal(422, message, problems[:MOST_PROBLEMS])


def away(message: str, problems: Sequence[Problem] = ()) -> Refusal:
    """The refusal while something is away: 503, to be repeated."""
    return Refusal(503, message, problems[:MOST_PROBLEMS], {"Retry-After": str(RETRY_AFTER_S)})


def too_slow(message: str) -> Refusal:
    """The refusal when a deadline has passed: 504."""
    return Refusal(504, message, headers={"Retry-After": str(RETRY_AFTER_S)})
