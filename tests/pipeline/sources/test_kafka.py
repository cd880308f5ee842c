import time
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from modules.spec import InputError, SourceUnavailable
from pipeline.dead_letters import DeadLetter, open_dead_letters
from pipeline.sources import kafka
from pipeline.sources.kafka import Brokers, KafkaLogin
from pipeline.sources.source import EventBatch
from pipeline.sources.urls import open_source
from tests.pipeline.sources.feeds import COLUMNS, KafkaFeed, source
from tests.pipeline.sources.servers import Server

NOW_MS = time.time_ns() // 1_000_000


def produced(feed: KafkaFeed, records: list[tuple[int, int]], partition: int = 0) -> None:
    """Records (id, timestamp in milliseconds)."""
    assert feed.server
    producer = Producer({"bootstrap.servers": feed.server.address})
    for number, timestamp in records:
        producer.produce(feed.name, f'{{"id": {number}}}'.encode(), partition=partition, timestamp=timestamp)
    producer.flush()


def polled(feed: KafkaFeed, partition: str = "0", position: int = 0, polls: int = 3, size: int = 100) -> list[Any]:
    with source(feed).open(partition, position) as opened:
        return [opened.poll(size) for _ in range(polls)]


def ids(batches: list[EventBatch]) -> list[int]:
    return [int(value) for batch in batches for value in batch.rows["id"].to_pylist()]


def test_positions_are_offsets_and_decide_where_it_goes_on(kafka_server: Server) -> None:
    feed = KafkaFeed(kafka_server)
    produced(feed, [(number, NOW_MS) for number in range(10)])
    with source(feed).open("0", 0) as partition:
        batch = partition.poll(4)
        assert batch
        assert (ids([batch]), batch.position) == ([0, 1, 2, 3], 4)
        partition.acknowledge([batch])
        rest = partition.poll(100)
        assert rest
        assert rest.position == 10
    consumer = Consumer({"bootstrap.servers": kafka_server.address, "group.id": "twinbeam"})
    [committed] = consumer.committed([TopicPartition(feed.name, 0)])
    consumer.close()
    assert committed.offset == 4
    assert ids(polled(feed, position=4)) == [4, 5, 6, 7, 8, 9]
    assert ids(polled(feed, position=0)) == list(range(10))  # whatever is committed
    assert ids(polled(feed, position=10)) == []


def test_each_partition_is_a_log_of_its_own(kafka_server: Server) -> None:
    feed = KafkaFeed(kafka_server, partitions=3)
    for partition in range(2):
        produced(feed, [(partition * 10 + number, NOW_MS) for number in range(3)], partition)
    assert source(feed).partitions() == ["0", "1", "2"]
    assert [ids(polled(feed, partition)) for partition in source(feed).partitions()] == [[0, 1, 2], [10, 11, 12], []]
    assert polled(feed, "2")[-1].watermark > NOW_MS * 1000  # an empty one holds nobody up


def test_while_records_come_the_watermark_is_the_greatest_timestamp_read(kafka_server: Server) -> None:
    feed = KafkaFeed(kafka_server)
    future = NOW_MS + 3_000_000
    produced(feed, [(0, 5000), (1, 9000), (2, 7000), (3, NOW_MS - 60_000), (4, future), (5, 10_000)])
    batches = polled(feed, polls=8, size=1)
    assert ids(batches) == [0, 1, 2, 3, 4, 5]
    marks = [batch.watermark for batch in batches]
    assert marks[:4] == [5_000_000, 9_000_000, 9_000_000, (NOW_MS - 60_000) * 1000]
    assert NOW_MS * 1000 <= marks[4] <= time.time_ns() // 1000  # a timestamp from the future is no news of the log
    assert marks == sorted(marks)
    assert [batch.ingest.tolist() for batch in batches[:2]] == [[5_000_000], [9_000_000]]


def test_the_time_of_the_log_is_taken_where_the_topic_says_so(kafka_server: Server) -> None:
    feed = KafkaFeed(kafka_server, config={"message.timestamp.type": "LogAppendTime"})
    produced(feed, [(0, 5000)])
    [batch] = polled(feed, polls=1)
    assert abs(batch.ingest[0] - time.time_ns() // 1000) < 30_000_000


def test_the_end_is_found_behind_records_that_are_not_given(kafka_server: Server) -> None:
    feed = KafkaFeed(kafka_server)
    producer = Producer({"bootstrap.servers": kafka_server.address, "transactional.id": feed.name})
    producer.init_transactions(30)
    for number, finish in ((0, producer.commit_transaction), (1, producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(feed.name, f'{{"id": {number}}}'.encode(), timestamp=5000)
        producer.flush()
        finish(30)
    batches = polled(feed, polls=4)
    assert ids(batches) == [0]
    assert batches[-1].position == 4  # two records, two marks
    assert batches[-1].watermark > NOW_MS * 1000


def test_records_that_were_removed_before_they_were_read_are_an_error(kafka_server: Server) -> None:
    feed = KafkaFeed(kafka_server)
    produced(feed, [(number, NOW_MS) for number in range(10)])
    feed.admin.delete_records([TopicPartition(feed.name, 0, 6)])[TopicPartition(feed.name, 0)].result()
    assert ids(polled(feed, position=0)) == [6, 7, 8, 9]  # those were there before anything was read
    assert ids(polled(feed, position=6)) == [6, 7, 8, 9]
    with pytest.raises(
        InputError, match=r"partition 0 holds offsets 6 to below 10, but source trips was read to 4: reco"
    ):
        polled(feed, position=4)
    with pytest.raises(
        InputError, match=r"holds offsets 6 to below 10, but source trips was read to 11: .* Start with a"
    ):
        polled(feed, position=11)


def test_a_record_without_a_value_is_no_event(kafka_server: Server) -> None:
    feed = KafkaFeed(kafka_server)
    producer = Producer({"bootstrap.servers": kafka_server.address})
    producer.produce(feed.name, None, key="x")
    producer.flush()
    [broken] = polled(feed, polls=1)[0].broken
    assert (broken.payload, broken.reason[:8]) == (b"", "not JSON")


def test_a_topic_that_does_not_exist_is_an_error_to_mend(kafka_server: Server) -> None:
    url = f"kafka://{kafka_server.address}/nowhere"
    with pytest.raises(
        InputError, match=rf"^{url}: Kafka refuses: .*Unknown topic.* Make it, correct its name, or ask"
    ):
        open_source("trips", url, COLUMNS, "at", None).partitions()


def test_a_broker_that_was_never_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "_TIMEOUT_S", 0.2)
    found = open_source("trips", "kafka://user:secret@127.0.0.1:9/topic?tls=false", COLUMNS, "at", None)
    with pytest.raises(SourceUnavailable, match=r"^kafka://127\.0\.0\.1:9/topic: Kafka is down or slow: ") as error:
        found.partitions()
    assert "secret" not in str(error.value)
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("brokers", "login", "protocol"),
    [
        (Brokers("b:1", "", ""), KafkaLogin(), "PLAINTEXT"),
        (Brokers("b:1", "", ""), KafkaLogin(tls=True), "SSL"),
        (Brokers("b:1", "u", "p"), KafkaLogin(), "SASL_SSL"),  # no password in the clear unless asked for
        (Brokers("b:1", "u", "p"), KafkaLogin(tls=False), "SASL_PLAINTEXT"),
    ],
)
def test_a_password_goes_over_an_encrypted_connection(brokers: Brokers, login: KafkaLogin, protocol: str) -> None:
    settings = brokers.configuration(login)
    assert settings["security.protocol"] == protocol
    assert settings.get("sasl.password") == ("p" if brokers.user else None)


def test_dead_letters_in_a_topic(kafka_server: Server) -> None:
    feed = KafkaFeed(kafka_server)
    letter = DeadLetter("trips", "late", "2 s too late", b"\xff", 1, 2)
    dead = open_dead_letters(feed.url)
    dead.write([letter])
    dead.close()
    consumer = Consumer({"bootstrap.servers": kafka_server.address, "group.id": "x"})
    consumer.assign([TopicPartition(feed.name, 0, 0)])
    record = consumer.poll(20)
    consumer.close()
    assert record is not None
    payload = record.value()
    assert payload is not None
    assert DeadLetter.from_json(payload.decode()) == letter
    assert record.key() == letter.identity.encode()
