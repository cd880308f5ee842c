"""From a URL to the source of events that it names. A password in a URL is in no message."""

import dataclasses
import re
from typing import TypeVar
from urllib.parse import parse_qsl, unquote

from pydantic import ValidationError

from modules.spec import InputError, Typed
from pipeline.sources.options import Options
from pipeline.sources.source import EventSource
from pipeline.sources.topic import Topic

_Opts = TypeVar("_Opts", bound=Options)
_BROKERS = "kafka://[USER:PASSWORD@]BROKER:PORT[,BROKER:PORT]/TOPIC"


def open_source(name: str, url: str, columns: dict[str, Typed], time: str, ingest_time: str | None) -> EventSource:
    """The source that a URL names, with its options after `?`; nothing is read or connected to yet.

    Args:
      name: The source's name in the declaration.
      url: file://PATH (a file, a directory or a glob; `?` and `%` written as %3F and %25), pubsub://PROJECT/SUBSCRIPTION
        or kafka://[USER:PASSWORD@]BROKER:PORT[,BROKER:PORT]/TOPIC.
      columns: The events' columns.
      time: The column with the event's time.
      ingest_time: The column with the ingest time of recorded events; a message broker stamps its own.

    Raises:
      InputError: The URL or an option is not one that is accepted.
    """
    parts = _split(url)
    shown = without_password(url)
    if parts.scheme == "file" and parts.place:
        from pipeline.sources.recorded import Recorded, RecordedOptions

        replay = _options(RecordedOptions, shown, parts.query)
        return Recorded(name, unquote(parts.place), columns, time, ingest_time, replay)
    if parts.scheme == "pubsub" and parts.host and parts.path:
        from pipeline.sources.pubsub import PubSub, PubSubOptions

        return PubSub(name, parts.host, parts.path, columns, _options(PubSubOptions, shown, parts.query))
    if parts.scheme == "kafka" and parts.host and parts.path:
        from pipeline.sources.kafka import Brokers, Kafka, KafkaOptions

        options = _options(KafkaOptions, shown, parts.query)
        return Kafka(name, Brokers(parts.host, parts.user, parts.password), parts.path, columns, options)
    raise InputError(
        f"{shown}: no source of events; accepted: file://PATH, pubsub://PROJECT/SUBSCRIPTION or {_BROKERS}."
    )


def open_topic(url: str) -> Topic:
    """The topic that a URL names: pubsub://PROJECT/TOPIC or kafka://[USER:PASSWORD@]BROKER:PORT[,BROKER:PORT]/TOPIC.

    Raises:
      InputError: The URL is not one that is accepted.
    """
    parts = _split(url)
    if parts.scheme == "pubsub" and parts.host and parts.path and not parts.query:
        from pipeline.sources.pubsub import PubSubTopic

        return PubSubTopic(parts.host, parts.path)
    if parts.scheme == "kafka" and parts.host and parts.path:
        from pipeline.sources.kafka import Brokers, KafkaLogin, KafkaTopic

        login = _options(KafkaLogin, without_password(url), parts.query)
        return KafkaTopic(Brokers(parts.host, parts.user, parts.password), parts.path, login)
    raise InputError(f"{without_password(url)}: no topic; accepted: pubsub://PROJECT/TOPIC or {_BROKERS}.")


def without_password(url: str) -> str:
    """A URL as it may be printed: all between `//` and the last `@` is left out, unless it names files."""
    return url if url.startswith("file://") else re.sub("//.*@", "//***@", url, flags=re.DOTALL)


def _options(model: type[_Opts], shown: str, query: str) -> _Opts:
    given = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in given]
    for name in names:
        if name not in model.model_fields:
            raise InputError(f"{shown}: the option {name!r} is not known; accepted: {', '.join(model.model_fields)}.")
        if names.count(name) > 1:
            raise InputError(f"{shown}: the option {name} is there twice. Leave one.")
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        wrong = error.errors()[0]
        name = str(wrong["loc"][0])
        raise InputError(
            f"{shown}: the option {name}: read {wrong['input']!r}; accepted: {model.model_fields[name].description}."
        ) from None


@dataclasses.dataclass(frozen=True)
class _Url:
    scheme: str
    place: str
    """All between `//` and `?`."""
    user: str
    password: str = dataclasses.field(repr=False)
    host: str
    path: str
    """What follows the host's `/`; empty unless it is one name."""
    query: str


def _split(url: str) -> _Url:
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    authority, _, path = place.partition("/")
    login, _, host = authority.rpartition("@")
    user, _, password = login.partition(":")
    path = path if re.fullmatch("[A-Za-z][A-Za-z0-9._~+%-]*", path) else ""
    return _Url(scheme, place, unquote(user), unquote(password), host, path, query)
