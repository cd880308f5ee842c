import subprocess
import sys

import pytest

from modules.spec import InputError
from pipeline.sources.kafka import Brokers, Kafka
from pipeline.sources.pubsub import PubSub
from pipeline.sources.recorded import Recorded
from pipeline.sources.urls import open_source, open_topic, without_password
from tests.pipeline.sources.feeds import COLUMNS


def opened(url: str) -> object:
    return open_source("trips", url, COLUMNS, "at", None)


def test_urls_name_their_source() -> None:
    recorded = opened("file://data/trips?speed=2")
    assert isinstance(recorded, Recorded)
    assert (recorded.path, recorded.options.speed, recorded.name) == ("data/trips", 2.0, "trips")
    pubsub = opened("pubsub://project/name?lease=5m")
    assert isinstance(pubsub, PubSub)
    assert (pubsub.project, pubsub.subscription, pubsub.options.lease) == ("project", "name", "5m")
    kafka = opened("kafka://us%40er:pass%3Aword@a:1,b:2/topic?group=g&tls=false&mechanism=SCRAM-SHA-512")
    assert isinstance(kafka, Kafka)
    assert (kafka.brokers, kafka.topic) == (Brokers("a:1,b:2", "us@er", "pass:word"), "topic")
    assert (kafka.options.group, kafka.options.tls, kafka.options.mechanism) == ("g", False, "SCRAM-SHA-512")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", ": no source of events; accepted: file://PATH, pubsub://PROJECT/SUBSCRIPTION or kafka://[USER:PASSWORD@]"),
        ("data/trips", "data/trips: no source of events; accepted: "),
        ("file://", "file://: no source of events"),
        ("pubsub://project", "pubsub://project: no source of events"),
        ("pubsub:///name", "pubsub:///name: no source of events"),
        ("pubsub://project/a/b", "pubsub://project/a/b: no source of events"),
        ("kafka:///topic", "kafka:///topic: no source of events"),
        ("amqp://u:secret@host/x", "amqp://***@host/x: no source of events"),
        ("kafka://u:secret@b:1", "kafka://***@b:1: no source of events"),
        ("kafka://u:sec/ret@b:1/t", "kafka://***@b:1/t: no source of events"),
        ("kafka://u:sec?ret@b:1/t", "kafka://***@b:1/t: no source of events"),
        (
            "kafka://u:secret@b:1/t?grup=g",
            "kafka://***@b:1/t?grup=g: the option 'grup' is not known; accepted: tls, mech",
        ),
        (
            "kafka://u:secret@b:1/t?group=",
            "kafka://***@b:1/t?group=: the option group: read ''; accepted: the group who",
        ),
        (
            "kafka://b:1/t?mechanism=x",
            "kafka://b:1/t?mechanism=x: the option mechanism: read 'x'; accepted: PLAIN, SCR",
        ),
    ],
)
def test_urls_that_name_none(url: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        opened(url)
    assert str(error.value).startswith(message)
    assert "sec" not in str(error.value).removeprefix(message)


@pytest.mark.parametrize(
    "url", ["file://x", "pubsub://project/topic?lease=10s", "kafka://b:1/t?group=x", "kafka://b:1"]
)
def test_urls_that_name_no_topic(url: str) -> None:
    with pytest.raises(InputError):
        open_topic(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("kafka://u:p@b/t", "kafka://***@b/t"),
        ("kafka://u:p@p@b/t", "kafka://***@b/t"),
        ("kafka://u:p\n@b/t", "kafka://***@b/t"),
        ("kafka://b/t", "kafka://b/t"),
        ("file:///a@b.csv", "file:///a@b.csv"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("pipeline.sources.recorded", ["google.cloud.pubsub_v1", "confluent_kafka"]),
        ("pipeline.dead_letters", ["google.cloud.pubsub_v1", "confluent_kafka"]),
        ("pipeline.sources.pubsub", ["confluent_kafka"]),
        ("pipeline.sources.kafka", ["google.cloud.pubsub_v1"]),
    ],
)
def test_a_source_loads_its_own_client_only(module: str, absent: list[str]) -> None:
    never = ["tensorflow", "tfx", "keras", "apache_beam", "pandas"]
    program = f"import sys, {module}; print([name for name in {absent + never} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"
