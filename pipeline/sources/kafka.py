"""Apache Kafka, through confluent-kafka.

A partition is read from the offset that it is opened at; the group's offsets are written for those who watch its lag,
and decide nothing. An event's ingest time is its record's timestamp. Where the topic's `message.timestamp.type` is
LogAppendTime, that is when the broker took it in; with CreateTime (Kafka's default) it is what the producer said, and
`lateness` then counts up to the producer, not to the log: what waits in the producer is not late.

The watermark is an estimate. While there are records, it is the greatest timestamp that was read, which with CreateTime
later records may fall short of. At the end of the partition, it is one second before the poll that found it, by this
machine's clock. It never passes that clock, so one timestamp from the future does not close all slots. A source's
declared `slack` should exceed the time that records of CreateTime wait in a producer.
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from pydantic import Field

from modules.spec import InputError, SourceUnavailable, Typed
from pipeline.ingest.messages import read_messages
from pipeline.sources.options import Options
from pipeline.sources.source import EARLIEST, Broken, EventBatch, Partition
from pipeline.sources.topic import Message

_TIMEOUT_S = 5.0
_EMPTY_AFTER_S = 0.5
_FILL_S = 0.05
_MARGIN = 1_000_000
"""Microseconds."""
# Not among these: _UNKNOWN_PARTITION, which is also what the client says when it has lost all brokers.
_TO_MEND = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._AUTHENTICATION,
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError._INVALID_ARG,
    KafkaError.INVALID_GROUP_ID,
}


class KafkaLogin(Options):
    """How brokers are connected to, after the `?` of the URL."""

    tls: bool | None = None
    """true or false: whether the connection is encrypted; left out: if there is a password"""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512: how the password is shown to the broker"""


class KafkaOptions(KafkaLogin):
    """How a topic is read, after the `?` of the URL."""

    group: Annotated[str, Field(min_length=1)] = "twinbeam"
    """the group whose offsets are written"""


@dataclasses.dataclass(frozen=True)
class Brokers:
    """Where the brokers are, and who asks."""

    addresses: str
    """host:port[,host:port]"""
    user: str
    password: str = dataclasses.field(repr=False)

    def configuration(self, login: KafkaLogin) -> dict[str, Any]:
        """For librdkafka."""
        tls = bool(self.user) if login.tls is None else login.tls
        protocol = ("SASL_" if self.user else "") + ("SSL" if tls else "PLAINTEXT")
        settings: dict[str, Any] = {
            "bootstrap.servers": self.addresses,
            "security.protocol": protocol,
            "log_level": 0,  # what goes wrong is raised
        }
        if self.user:
            settings |= {
                "sasl.username": self.user,
                "sasl.password": self.password,
                "sasl.mechanism": login.mechanism,
            }
        return settings


@dataclasses.dataclass(frozen=True)
class Kafka:
    """An `EventSource` of a topic. Positions are offsets."""

    name: str
    brokers: Brokers
    topic: str
    columns: dict[str, Typed]
    """The events' columns."""
    options: KafkaOptions

    @property
    def log(self) -> str:
        return f"the topic {self.topic} of Kafka"

    def partitions(self) -> list[str]:
        """The numbers of the topic's partitions. Raises SourceUnavailable or InputError as `Partition.poll` does."""
        consumer = self.consumer()
        try:
            topic = consumer.list_topics(self.topic, timeout=_TIMEOUT_S).topics[self.topic]
            if topic.error is not None:
                raise KafkaException(topic.error)
            return [str(number) for number in sorted(topic.partitions)]
        except KafkaException as error:
            raise _explained(self.brokers, self.topic, error.args[0]) from None
        finally:
            consumer.close()

    def open(self, partition: str, position: int) -> "KafkaPartition":
        """Opens a partition at an offset, or at the first one that is there, if the position is 0."""
        return KafkaPartition(self, int(partition), position)

    def consumer(self) -> Consumer:
        """A client that is in no partition yet."""
        settings = self.brokers.configuration(self.options) | {
            "group.id": self.options.group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 100,  # the question for the end waits until a fetch is answered
        }
        try:
            return Consumer(settings)
        except KafkaException as error:
            raise _explained(self.brokers, self.topic, error.args[0]) from None


class KafkaPartition(Partition):
    """One partition of a topic."""

    def __init__(self, source: Kafka, number: int, position: int) -> None:
        self._source, self._number, self._next = source, number, position
        self._consumer = source.consumer()
        self._assigned = False
        self._committed = 0
        self._watermark = EARLIEST

    def poll(self, max_events: int) -> EventBatch:
        """As `Partition.poll`; takes half a second if there is nothing."""
        began = time.time_ns() // 1000
        try:
            if not self._assigned:
                first, _ = self._ends()
                self._next = self._next or first
                self._consumer.assign([self._at(self._next)])
                self._assigned = True
            records, self._next = self._consume(max_events)
            if not records and self._ends()[1] == self._next:
                self._watermark = max(self._watermark, began - _MARGIN)
        except KafkaException as error:
            self._assigned = False  # what was read in this poll is read again
            raise _explained(self._source.brokers, self._source.topic, error.args[0]) from None
        payloads = [record.value() or b"" for record in records]
        ingest = np.array([_ingest(record, began) for record in records], np.int64)
        self._watermark = max(self._watermark, min(began, int(ingest.max(initial=EARLIEST))))
        rows, good, broken = read_messages(payloads, self._source.columns)
        return EventBatch(
            source=self._source.name,
            partition=str(self._number),
            rows=rows,
            ingest=ingest[good],
            payloads=tuple(payloads[index] for index in good),
            broken=tuple(Broken(payloads[index], reason, int(ingest[index])) for index, reason in broken),
            watermark=self._watermark,
            position=self._next,
        )

    def acknowledge(self, batches: Sequence[EventBatch]) -> None:
        position = max((batch.position for batch in batches), default=0)
        if position > self._committed:
            try:
                self._consumer.commit(offsets=[self._at(position)], asynchronous=False)
            except KafkaException as error:
                raise _explained(self._source.brokers, self._source.topic, error.args[0]) from None
            self._committed = position

    def close(self) -> None:
        self._consumer.close()

    def _consume(self, most: int) -> tuple[list[Any], int]:
        """Records in the order of their offsets, and the offset that follows."""
        first = self._consumer.poll(_EMPTY_AFTER_S)
        found: list[Any] = [] if first is None else [first]
        if found and most > 1:
            found += self._consumer.consume(most - 1, _FILL_S)
        records, following = [], self._next
        for record in found:
            error = record.error()
            if error is None:
                records.append(record)
                following = record.offset() + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                following = record.offset()
            else:
                raise KafkaException(error)
        return records, following

    def _ends(self) -> tuple[int, int]:
        """The first offset that is there, and the one after the last; fails if records are gone that were not read."""
        first, end = self._consumer.get_watermark_offsets(self._at(0), timeout=_TIMEOUT_S, cached=False)
        if self._next and not first <= self._next <= end:
            where = f"kafka://{self._source.brokers.addresses}/{self._source.topic}"
            raise InputError(
                f"{where}: partition {self._number} holds offsets {first:,} to below {end:,}, but "
                f"source {self._source.name} was read to {self._next:,}: records were removed before they were read, "
                "or the topic was made anew. Start with a new store, from the history."
            )
        return first, end

    def _at(self, offset: int) -> TopicPartition:
        return TopicPartition(self._source.topic, self._number, offset)


class KafkaTopic:
    """A `Topic` of Kafka."""

    def __init__(self, brokers: Brokers, topic: str, login: KafkaLogin) -> None:
        self._brokers, self._topic = brokers, topic
        settings = {"enable.idempotence": True, "message.timeout.ms": int(2 * _TIMEOUT_S * 1000)}
        try:
            self._producer = Producer(brokers.configuration(login) | settings)
        except KafkaException as error:
            raise _explained(brokers, topic, error.args[0]) from None

    def send(self, messages: Sequence[Message]) -> None:
        failed: list[KafkaError] = []

        def done(error: KafkaError | None, _: object) -> None:
            if error is not None:
                failed.append(error)

        try:
            for message in messages:
                while True:
                    try:
                        self._producer.produce(self._topic, message.payload, key=message.key or None, on_delivery=done)
                        break
                    except BufferError:  # its queue is full
                        self._producer.poll(_FILL_S)
            self._producer.flush()  # ends: each message is done after its timeout
        except KafkaException as error:
            failed.append(error.args[0])
        if failed:
            raise _explained(self._brokers, self._topic, failed[0])

    def close(self) -> None:
        self._producer.flush()


def _ingest(record: Any, now: int) -> int:
    kind, milliseconds = record.timestamp()
    return now if kind == TIMESTAMP_NOT_AVAILABLE else int(milliseconds) * 1000


def _explained(brokers: Brokers, topic: str, error: KafkaError) -> InputError | SourceUnavailable:
    where = f"kafka://{brokers.addresses}/{topic}"
    if error.code() in _TO_MEND:
        return InputError(f"{where}: Kafka refuses: {error.str()}. Make it, correct its name, or ask for access.")
    return SourceUnavailable(f"{where}: Kafka is down or slow: {error.str()}. Check the network, or wait.")
