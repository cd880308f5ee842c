"""What a topic does: it takes messages."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class Message:
    """What is sent."""

    payload: bytes
    key: str = ""
    """Kafka: the record's key; Pub/Sub: the attribute `key`."""


class Topic(Protocol):
    """A topic of a message broker, to be written."""

    def send(self, messages: Sequence[Message]) -> None:
        """Sends messages; when it returns, the broker has them.

        Raises:
          SourceUnavailable: It is down or slow; some may have been sent, and the caller repeats.
          InputError: There is no such topic, or the broker does not take a message.
        """
        ...

    def close(self) -> None:
        """Gives back connections."""
        ...
