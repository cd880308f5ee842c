"""Dead letters: what came as an event and did not count, kept with the reason until somebody looks.

They are written before the event is acknowledged. A letter is named by its identity, so that writing it again changes
nothing: in a directory it is there once; in a topic its readers can tell.
"""

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np

from modules.spec import InputError, OutputError, Typed
from pipeline.ingest.messages import read_messages
from pipeline.sources.source import EARLIEST, Broken, EventBatch, Partition
from pipeline.sources.topic import Message, Topic
from pipeline.sources.urls import open_topic

Reason = Literal["unparsable", "schema", "value", "late", "future", "closed", "conflict"]
"""unparsable: not split into columns; schema: a column is not as declared; value: a number that is not taken in; late,
future: ingested too long after, or before, its time; closed: came to a slot that takes in no more; conflict: its id was
there with other content."""

REPLAYABLE: tuple[Reason, ...] = ("unparsable", "schema", "value", "late", "future")
"""What another declaration may accept. A closed slot stays closed, and of a conflict both events were counted."""


@dataclasses.dataclass(frozen=True)
class DeadLetter:
    """An event that did not count."""

    source: str
    """The source's name in the declaration."""
    reason: Reason
    detail: str
    """What is wrong, in words."""
    payload: bytes
    """The event as it came."""
    time: int | None
    """Its own time, in microseconds, where it could be read."""
    ingest: int | None
    """When the log took it in, in microseconds, where that is known."""
    identity: str = ""
    """8 to 64 hexadecimal digits; where left out, a hash of source, reason and payload."""

    def __post_init__(self) -> None:
        if not self.identity:
            parts = (self.source.encode(), self.reason.encode(), self.payload)
            framed = b"".join(len(part).to_bytes(8) + part for part in parts)
            object.__setattr__(self, "identity", hashlib.sha256(framed).hexdigest()[:32])
        if self.reason not in get_args(Reason) or not re.fullmatch("[0-9a-f]{8,64}", self.identity):
            raise ValueError(f"no reason or identity of a dead letter: {self.reason!r}, {self.identity!r}")

    def to_json(self) -> str:
        """One line. A payload that is not UTF-8 is written as `payload_base64`."""
        fields = dataclasses.asdict(self)
        try:
            fields["payload"] = self.payload.decode()
        except UnicodeDecodeError:
            del fields["payload"]
            fields["payload_base64"] = base64.b64encode(self.payload).decode()
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "DeadLetter":
        """What `to_json` wrote. Raises ValueError, KeyError or TypeError where it did not."""
        fields = json.loads(text)
        encoded = fields.pop("payload_base64", None)
        payload = fields.pop("payload").encode() if encoded is None else base64.b64decode(encoded, validate=True)
        return cls(payload=payload, **fields)


class DeadLetters(Protocol):
    """Where dead letters are written."""

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Writes letters; when it returns, they are there.

        Raises:
          OutputError: The directory cannot be written.
          SourceUnavailable: The topic's server is down or slow; the caller repeats.
        """
        ...

    def close(self) -> None:
        """Gives back connections."""
        ...


def open_dead_letters(place: str) -> DeadLetters:
    """A directory (made when the first letter is written), pubsub://PROJECT/TOPIC or kafka://BROKER:PORT/TOPIC."""
    if "://" in place and not place.startswith("file://"):
        return LetterTopic(open_topic(place))
    return LetterDirectory(place.removeprefix("file://"))


class LetterTopic:
    """A topic of letters, each a JSON message with its identity as attribute or key."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic

    def write(self, letters: Sequence[DeadLetter]) -> None:
        self._topic.send([Message(letter.to_json().encode(), key=letter.identity) for letter in letters])

    def close(self) -> None:
        self._topic.close()


class LetterDirectory:
    """A directory of letters: a JSON-lines file each, `IDENTITY.jsonl`, in folders named by its first two digits.

    A letter survives the end of the process that wrote it, however it ends; only a crash of the machine may lose the
    last ones.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """As `DeadLetters.write`; a letter that is already there is not written again."""
        try:
            for letter in letters:
                path = self._file(letter.identity)
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    partial = path.with_suffix(f".{uuid.uuid4().hex}")
                    try:
                        partial.write_text(letter.to_json() + "\n", encoding="utf-8")
                        partial.rename(path)
                    finally:
                        partial.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"{self._path}: cannot be written: {error}. Free or correct it; nothing is acknowledged before."
            ) from None

    def close(self) -> None:
        """Does nothing: no file stays open."""

    def read(self, reasons: Iterable[Reason] = get_args(Reason), source: str | None = None) -> Iterator[DeadLetter]:
        """The letters of these reasons, and of one source or all, ordered by identity.

        Raises:
          InputError: There is no such directory, or something else is in it.
        """
        wanted = set(reasons)
        for identity in self._identities():
            for path in (self._file(identity), self._aside(identity)):
                if (letter := self._read_one(path)) is not None:
                    if letter.reason in wanted and source in (None, letter.source):
                        yield letter
                    break

    def counts(self) -> Counter[tuple[str, Reason]]:
        """How many there are of each source and reason."""
        return Counter((letter.source, letter.reason) for letter in self.read())

    def take(self, letter: DeadLetter) -> None:
        """Puts a letter aside, so that it can be written anew while it is replayed. `read` finds it there too."""
        self._file(letter.identity).replace(self._aside(letter.identity))

    def put_back(self, identity: str) -> None:
        """Undoes `take`."""
        with contextlib.suppress(FileNotFoundError):
            self._aside(identity).replace(self._file(identity))

    def remove_taken(self, identity: str) -> None:
        """Removes a letter that was put aside; not one that was written anew."""
        self._aside(identity).unlink(missing_ok=True)

    def put_all_back(self) -> None:
        """Undoes each `take` of a process that ended before it was done."""
        for path in Path(self._path).glob("??/*.replayed"):
            self.put_back(path.stem)

    def _file(self, identity: str) -> Path:
        return Path(self._path, identity[:2], f"{identity}.jsonl")

    def _aside(self, identity: str) -> Path:
        return self._file(identity).with_suffix(".replayed")

    def _identities(self) -> Iterator[str]:
        try:
            folders = sorted(entry.name for entry in os.scandir(self._path) if entry.is_dir())
        except OSError as error:
            raise InputError(f"{self._path}: no directory of dead letters: {error.strerror}.") from None
        for folder in folders:
            inside = Path(self._path, folder)
            yield from sorted({path.stem for suffix in ("jsonl", "replayed") for path in inside.glob(f"*.{suffix}")})

    @staticmethod
    def _read_one(path: Path) -> DeadLetter | None:
        try:
            return DeadLetter.from_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: no dead letter: {error!r}. Remove it.") from None


@dataclasses.dataclass(frozen=True)
class ReplayedLetters:
    """An `EventSource` of the letters of a directory that can be replayed, as they came. Its watermark says nothing.

    Acknowledged letters are removed; what did not count again has been written anew, and stays. One process may do so
    at a time.
    """

    name: str
    """The source's name in the declaration, whose letters they are."""
    directory: str
    columns: dict[str, Typed]
    """The events' columns, as they are declared now."""

    @property
    def log(self) -> None:
        return None

    def partitions(self) -> list[str]:
        return ["letters"]

    def open(self, partition: str, position: int) -> "LettersPartition":
        return LettersPartition(self, partition)


class LettersPartition(Partition):
    """The letters that were there when it was opened, held in memory."""

    def __init__(self, source: ReplayedLetters, partition: str) -> None:
        self._source, self._partition = source, partition
        self._directory = LetterDirectory(source.directory)
        self._directory.put_all_back()
        letters = list(self._directory.read(REPLAYABLE, source.name))
        # Of a batch either all ingest times are known, or none.
        self._left = [letter for known in (True, False) for letter in letters if (letter.ingest is not None) == known]
        self._taken: set[str] = set()

    def poll(self, max_events: int) -> EventBatch | None:
        if not self._left:
            return None
        known = self._left[0].ingest is not None
        letters = [letter for letter in self._left[:max_events] if (letter.ingest is not None) == known]
        del self._left[: len(letters)]
        for letter in letters:
            self._directory.take(letter)
            self._taken.add(letter.identity)
        payloads = [letter.payload for letter in letters]
        rows, good, broken = read_messages(payloads, self._source.columns)
        ingest = np.array([letter.ingest or 0 for letter in letters], np.int64)
        return EventBatch(
            source=self._source.name,
            partition=self._partition,
            rows=rows,
            ingest=ingest[good] if known else None,
            payloads=tuple(payloads[index] for index in good),
            broken=tuple(Broken(payloads[index], reason, int(ingest[index])) for index, reason in broken),
            watermark=EARLIEST,
            position=0,
            receipts=tuple(letter.identity for letter in letters),
        )

    def acknowledge(self, batches: Sequence[EventBatch]) -> None:
        for identity in (str(receipt) for batch in batches for receipt in batch.receipts):
            self._directory.remove_taken(identity)
            self._taken.discard(identity)

    def close(self) -> None:
        for identity in self._taken:
            self._directory.put_back(identity)
        self._taken.clear()
