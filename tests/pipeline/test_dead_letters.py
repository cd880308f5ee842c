import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.spec import InputError, OutputError, Typed
from pipeline.dead_letters import REPLAYABLE, DeadLetter, LetterDirectory, Reason, ReplayedLetters, open_dead_letters
from pipeline.sources.source import EARLIEST
from pipeline.sources.topic import Message

COLUMNS = {"id": Typed(type="int"), "at": Typed(type="timestamp", unit="us")}


def letter(payload: bytes = b'{"id": 1}', reason: Reason = "late", source: str = "trips", **fields: Any) -> DeadLetter:
    known = {"detail": "2 s too late", "time": 1_000_000, "ingest": 3_000_000, **fields}
    return DeadLetter(source=source, reason=reason, payload=payload, **known)


def test_the_identity_is_of_source_reason_and_payload() -> None:
    assert letter().identity == letter(detail="3 s too late", time=None, ingest=5).identity
    assert len(letter().identity) == 32
    others = [letter(), letter(b"x"), letter(reason="future"), letter(source="fares"), letter(b"ps", source="tri")]
    assert len({other.identity for other in others}) == len(others)
    assert letter(identity="0123456789abcdef").identity == "0123456789abcdef"


@pytest.mark.parametrize("fields", [{"identity": "../../etc"}, {"identity": "ABCDEF00"}, {"reason": "dull"}])
def test_a_letter_checks_itself(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no reason or identity of a dead letter: "):
        letter(**fields)


@given(
    st.binary(), st.sampled_from(get_args(Reason)), st.text(), st.none() | st.integers(-(2**63), 2**63 - 1), st.text()
)
def test_a_letter_is_one_line_and_read_back(
    payload: bytes, reason: Reason, detail: str, time: int | None, source: str
) -> None:
    written = DeadLetter(source, reason, detail, payload, time, None)
    assert len(written.to_json().splitlines()) == 1 or "\n" not in written.to_json()
    assert DeadLetter.from_json(written.to_json()) == written


def test_a_directory_holds_a_file_a_letter(tmp_path: Path) -> None:
    letters = LetterDirectory(str(tmp_path / "dead"))
    letters.write([letter(), letter(b"\xff", "unparsable", time=None)])
    [path] = tmp_path.glob(f"dead/{letter().identity[:2]}/{letter().identity}.jsonl")
    assert json.loads(path.read_text()) == {
        "source": "trips",
        "reason": "late",
        "detail": "2 s too late",
        "payload": '{"id": 1}',
        "time": 1_000_000,
        "ingest": 3_000_000,
        "identity": letter().identity,
    }
    assert {one.payload for one in letters.read()} == {b'{"id": 1}', b"\xff"}
    assert [one.payload for one in letters.read(["unparsable"])] == [b"\xff"]
    assert list(letters.read(source="fares")) == []


def test_written_again_it_is_there_once_as_it_was(tmp_path: Path) -> None:
    letters = LetterDirectory(str(tmp_path))
    letters.write([letter()])
    letters.write([letter(detail="other"), letter(detail="other"), letter(source="fares")])
    assert letters.counts() == Counter({("trips", "late"): 1, ("fares", "late"): 1})
    assert [one.detail for one in letters.read(source="trips")] == ["2 s too late"]
    assert all(path.suffix == ".jsonl" for path in tmp_path.glob("*/*"))


def test_a_letter_outlives_a_killed_writer(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from pipeline.dead_letters import DeadLetter, open_dead_letters\n"
        "open_dead_letters(sys.argv[1]).write([DeadLetter('trips', 'late', '', b'x', None, None)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)])
    assert killed.returncode == -9
    assert [one.payload for one in LetterDirectory(str(tmp_path)).read()] == [b"x"]


def test_a_write_that_was_cut_off_leaves_no_letter(tmp_path: Path) -> None:
    path = tmp_path / letter().identity[:2]
    path.mkdir()
    (path / f"{letter().identity}.0123").write_text('{"sour')
    letters = LetterDirectory(str(tmp_path))
    assert list(letters.read()) == []
    letters.write([letter()])
    assert list(letters.read()) == [letter()]


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        OutputError, match=r"/file: cannot be written: .* Free or correct it; nothing is acknowledged be"
    ):
        open_dead_letters(f"file://{tmp_path}/file").write([letter()])


def test_a_directory_that_is_not_there_or_holds_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/none: no directory of dead letters: No such file or directory\."):
        list(LetterDirectory(f"{tmp_path}/none").read())
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "abcdef00.jsonl").write_text('{"source": "trips"}\n')
    with pytest.raises(InputError, match=r"/ab/abcdef00\.jsonl: no dead letter: KeyError\('payload'\)\. Remove it\."):
        list(LetterDirectory(str(tmp_path)).read())


@pytest.mark.parametrize("place", ["pubsub://project", "kafka://u:secret@broker/a/b", "s3://bucket/x"])
def test_a_place_that_is_none(place: str) -> None:
    with pytest.raises(InputError, match="no topic; accepted: pubsub://PROJECT/TOPIC or kafka://") as error:
        open_dead_letters(place)
    assert "secret" not in str(error.value)


def test_a_topic_takes_letters_named_by_their_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Message] = []

    class Topic:
        def send(self, messages: list[Message]) -> None:
            sent.extend(messages)

        def close(self) -> None:
            sent.append(Message(b"closed"))

    monkeypatch.setattr("pipeline.dead_letters.open_topic", lambda url: Topic())
    letters = open_dead_letters("pubsub://project/dead")
    letters.write([letter()])
    letters.close()
    assert sent == [Message(letter().to_json().encode(), key=letter().identity), Message(b"closed")]


# Replaying.


def replayed(directory: Path) -> Any:
    return ReplayedLetters("trips", str(directory), COLUMNS).open("letters", 0)


def test_what_can_be_replayed_comes_as_events(tmp_path: Path) -> None:
    letters = LetterDirectory(str(tmp_path))
    for reason in get_args(Reason):
        letters.write([letter(reason=reason)])
    letters.write([letter(b"no", "unparsable"), letter(b'{"id": 2}', ingest=None), letter(source="fares")])
    assert ReplayedLetters("trips", str(tmp_path), COLUMNS).partitions() == ["letters"]
    with replayed(tmp_path) as partition:
        batch = partition.poll(10)
        assert batch.rows.to_pydict() == {"id": ["1"] * len(REPLAYABLE), "at": [None] * len(REPLAYABLE)}
        assert batch.ingest.tolist() == [3_000_000] * len(REPLAYABLE)
        assert batch.payloads == (b'{"id": 1}',) * len(REPLAYABLE)
        assert [(broken.payload, broken.ingest) for broken in batch.broken] == [(b"no", 3_000_000)]
        assert (batch.source, batch.partition, batch.watermark, batch.position) == ("trips", "letters", EARLIEST, 0)
        other = partition.poll(10)  # of those nothing is known about their ingestion
        assert (other.rows["id"].to_pylist(), other.ingest) == ([2], None)
        assert partition.poll(10) is None
        partition.acknowledge([batch, other])
        partition.acknowledge([batch, other])
    assert letters.counts() == Counter({("trips", "closed"): 1, ("trips", "conflict"): 1, ("fares", "late"): 1})
    assert not list(tmp_path.glob("*/*.replayed"))


def test_what_does_not_count_again_stays(tmp_path: Path) -> None:
    letters = LetterDirectory(str(tmp_path))
    letters.write([letter(), letter(b'{"id": 2}')])
    with replayed(tmp_path) as partition:
        batch = partition.poll(10)
        letters.write([letter(detail="4 s too late")])  # before the acknowledgement, as always
        partition.acknowledge([batch])
    assert list(letters.read()) == [letter(detail="4 s too late")]


def test_what_was_not_acknowledged_stays(tmp_path: Path) -> None:
    letters = LetterDirectory(str(tmp_path))
    letters.write([letter(str(number).encode()) for number in range(6)])
    with replayed(tmp_path) as partition:
        partition.acknowledge([partition.poll(2)])
        partition.poll(2)
    assert sum(letters.counts().values()) == 4
    crashed = replayed(tmp_path)
    crashed.poll(3)
    assert sum(letters.counts().values()) == 4
    with replayed(tmp_path) as partition:
        assert len(partition.poll(10).broken) == 4
    assert sum(letters.counts().values()) == 4


def test_a_position_is_not_counted(tmp_path: Path) -> None:
    LetterDirectory(str(tmp_path)).write([letter()])
    with ReplayedLetters("trips", str(tmp_path), COLUMNS).open("letters", 7) as partition:
        batch = partition.poll(1)
        assert batch is not None
        assert batch.ingest is not None
        assert batch.ingest.tolist() == [3_000_000]


def test_many_letters_lie_in_folders(tmp_path: Path) -> None:
    LetterDirectory(str(tmp_path)).write([letter(str(number).encode()) for number in range(2000)])
    assert 200 < len(list(tmp_path.iterdir())) <= 256
    assert LetterDirectory(str(tmp_path)).counts() == Counter({("trips", "late"): 2000})
