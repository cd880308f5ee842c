"""Google Cloud Pub/Sub, by synchronous pulls. PUBSUB_EMULATOR_HOST (host:port) names an emulator to use instead.

Pub/Sub keeps no order, and gives a message again whose lease ran out. So the watermark is an estimate: where a poll
finds messages, the least publish time among them; where it finds none, however often it asks within half a second, two
seconds before it began, by this machine's clock. It counts on the oldest being given first, and on clocks that differ
by less than that. What it does not cover is a message that another reader held when it died: it comes again when its
`lease` ends, so a source's declared `slack` must exceed that, lest the slots of such messages are closed before.
"""

import dataclasses
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient  # type: ignore[import-untyped]
from pydantic import AfterValidator

from modules.spec import InputError, SourceUnavailable, Typed
from modules.spec.duration import Duration, micros
from pipeline.ingest.messages import read_messages
from pipeline.sources.options import Options
from pipeline.sources.source import EARLIEST, Broken, EventBatch, Partition
from pipeline.sources.topic import Message

# A pull that waits ends by the client's deadline, which cannot be told from a server that is down; and what is under
# way at that moment stays leased to nobody.
warnings.filterwarnings("ignore", message="The return_immediately flag is deprecated")

_Result = TypeVar("_Result")
_TIMEOUT_S = 10.0
_EMPTY_AFTER_S = 0.5
_PAUSE_S = 0.1
_MARGIN = 2_000_000
"""Microseconds."""
_AT_ONCE = 1000
"""Messages or acknowledgements in one request."""
_TO_MEND = (
    exceptions.NotFound,
    exceptions.Forbidden,
    exceptions.Unauthorized,
    exceptions.InvalidArgument,
    exceptions.FailedPrecondition,
)


def _accepted_by_pubsub(lease: str) -> str:
    if not 10_000_000 <= micros(lease) <= 600_000_000:
        raise ValueError("a duration from 10s to 10m")
    return lease


class PubSubOptions(Options):
    """How a subscription is read, after the `?` of the URL."""

    lease: Annotated[Duration, AfterValidator(_accepted_by_pubsub)] = "60s"
    """a duration from 10s to 10m: how long after a crash what was not acknowledged is given to another reader"""


@dataclasses.dataclass(frozen=True)
class PubSub:
    """An `EventSource` of a subscription, with one partition. An event's ingest time is its publish time."""

    name: str
    project: str
    subscription: str
    columns: dict[str, Typed]
    """The events' columns."""
    options: PubSubOptions

    PARTITIONS: ClassVar = ("subscription",)

    @property
    def path(self) -> str:
        """The subscription's name in Google Cloud."""
        return f"projects/{self.project}/subscriptions/{self.subscription}"

    @property
    def log(self) -> str:
        return "Pub/Sub"  # which counts nothing: of another subscription nothing is left out

    def partitions(self) -> list[str]:
        return list(self.PARTITIONS)

    def open(self, partition: str, position: int) -> "PubSubPartition":
        """Opens it where it was left: Pub/Sub counts nothing, and gives what was not acknowledged."""
        return PubSubPartition(self, partition)


class PubSubPartition(Partition):
    """A subscription, read by pulls."""

    def __init__(self, source: PubSub, partition: str) -> None:
        self._source, self._partition = source, partition
        self._path = source.path
        self._client = _call(self._path, SubscriberClient)
        self._lease_s = micros(source.options.lease) / 1_000_000
        self._leases: dict[str, float] = {}
        self._watermark = EARLIEST

    def poll(self, max_events: int) -> EventBatch:
        """As `Partition.poll`; takes half a second if there is nothing. Renews leases of what is not acknowledged."""
        began, until = time.time_ns() // 1000, time.monotonic() + _EMPTY_AFTER_S
        received: list[Any] = []
        while len(received) < max_events and time.monotonic() < until:
            try:
                pulled = self._pull(min(max_events - len(received), _AT_ONCE))
            except SourceUnavailable:
                if received:
                    break
                raise
            received += pulled
            if pulled:
                self._leases |= dict.fromkeys((one.ack_id for one in pulled), -math.inf)
            elif received:
                break
            else:
                time.sleep(_PAUSE_S)
        self._renew()
        payloads = [one.message.data for one in received]
        ingest = np.array([published(one.message) for one in received], np.int64)
        self._watermark = max(self._watermark, min(began - _MARGIN, int(ingest.min(initial=began))))
        rows, good, broken = read_messages(payloads, self._source.columns)
        return EventBatch(
            source=self._source.name,
            partition=self._partition,
            rows=rows,
            ingest=ingest[good],
            payloads=tuple(payloads[index] for index in good),
            broken=tuple(Broken(payloads[index], reason, int(ingest[index])) for index, reason in broken),
            watermark=self._watermark,
            position=0,
            receipts=tuple(one.ack_id for one in received),
        )

    def acknowledge(self, batches: Sequence[EventBatch]) -> None:
        receipts = [str(receipt) for batch in batches for receipt in batch.receipts]
        for some in _at_once(receipts):
            self._ask(self._client.acknowledge, subscription=self._path, ack_ids=some)
        for receipt in receipts:
            self._leases.pop(receipt, None)

    def close(self) -> None:
        """As `Partition.close`; where the server is down, the leases end by themselves."""
        try:
            for some in _at_once(list(self._leases)):
                self._lease(some, 0)
        except (SourceUnavailable, InputError):
            pass
        self._leases.clear()
        self._client.close()

    def _pull(self, most: int) -> list[Any]:
        request = {"subscription": self._path, "max_messages": most, "return_immediately": True}
        return list(self._ask(self._client.pull, request=request).received_messages)

    def _renew(self) -> None:
        """Renews the leases that are half over. Where the server is down, that waits for the next poll."""
        now = time.monotonic()
        old = [receipt for receipt, since in self._leases.items() if now - since > self._lease_s / 2]
        try:
            for some in _at_once(old):
                self._lease(some, self._lease_s)
                self._leases |= dict.fromkeys(some, now)
        except SourceUnavailable:
            pass

    def _lease(self, receipts: list[str], seconds: float) -> None:
        self._ask(
            self._client.modify_ack_deadline,
            subscription=self._path,
            ack_ids=receipts,
            ack_deadline_seconds=int(seconds),
        )

    def _ask(self, method: Callable[..., _Result], **request: Any) -> _Result:
        return _call(self._path, lambda: method(**request, timeout=_TIMEOUT_S, retry=None))


class PubSubTopic:
    """A `Topic` of Pub/Sub."""

    def __init__(self, project: str, topic: str) -> None:
        self._path = f"projects/{project}/topics/{topic}"
        self._client = _call(self._path, PublisherClient)

    def send(self, messages: Sequence[Message]) -> None:
        def send() -> None:
            futures = [
                self._client.publish(
                    self._path,
                    message.payload,
                    retry=None,
                    timeout=_TIMEOUT_S,
                    **({"key": message.key} if message.key else {}),
                )
                for message in messages
            ]
            for future in futures:
                future.result(timeout=2 * _TIMEOUT_S)

        _call(self._path, send)

    def close(self) -> None:
        self._client.stop()


def _call(path: str, function: Callable[[], _Result]) -> _Result:
    """Calls it, and says what went wrong in this project's errors."""
    try:
        return function()
    except _TO_MEND as error:
        raise InputError(
            f"{path}: Pub/Sub refuses: {error.message}. Make it, correct its name, or ask for access."
        ) from None
    except DefaultCredentialsError as error:
        raise InputError(f"{path}: no access to Pub/Sub: {error}") from None
    except (exceptions.GoogleAPIError, GoogleAuthError, TimeoutError) as error:
        raise SourceUnavailable(f"{path}: Pub/Sub is down or slow: {error}. Check the network, or wait.") from None


def _at_once(receipts: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(receipts), _AT_ONCE):
        yield receipts[first : first + _AT_ONCE]


def published(message: Any) -> int:
    """When a message was published, in whole microseconds, rounded down: its event's ingest time."""
    return int(message.publish_time.timestamp_pb().ToMicroseconds())
