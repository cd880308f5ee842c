"""What a backfill refuses, what it says of it, and that it then leaves nothing behind."""

import contextlib
import dataclasses
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from modules.spec import BusyError, Declaration, DeclarationError, InputError, OutputError
from pipeline.jobs.backfill import backfill
from tests.conftest import ROOT
from tests.pipeline.jobs.rides import RIDES, declare, make, read, write


@dataclasses.dataclass(frozen=True)
class Place:
    """A dataset on disk."""

    directory: Path
    declaration: Declaration
    rides: list[dict[str, Any]]

    @property
    def events(self) -> dict[str, list[str]]:
        return {name: [str(self.directory / f"{name}.csv")] for name in ("rides", "payments")}

    def refusal(self, requests: Path | None = None) -> str:
        """What is said of the requests; nothing is left behind."""
        with pytest.raises(InputError) as caught:
            backfill(self.declaration, self.events, str(requests) if requests else None, self.directory / "out")
        assert not [path for path in self.directory.iterdir() if "out" in path.name]
        return str(caught.value).replace(f"{self.directory}/", "")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = make(1, rides=20, payments=20)
    write(tmp_path / "rides.csv", made.rides)
    write(tmp_path / "payments.csv", made.payments)
    return Place(tmp_path, declare(tmp_path), made.rides)


def test_all_that_is_wrong_with_requests_is_said_at_once(place: Place) -> None:
    rows = [dict(row) for row in place.rides]
    rows[3]["at"], rows[4]["at"] = "yesterday", None
    rows[7]["fare"] = rows[9]["fare"] = "free"
    refusal = place.refusal(
        write(
            place.directory / "asked.jsonl", [{k: v if v is None else str(v) for k, v in row.items()} for row in rows]
        )
    )
    assert "column at, 1 row: asked.jsonl, row 4: read 'yesterday'. Accepted: a whole number of s since" in refusal
    assert (
        "column at, 1 row: asked.jsonl, row 5: read None. Accepted: a value in every request, because it is the "
        "request's time" in refusal
    )
    assert "column fare, 2 rows: asked.jsonl, row 8: read 'free'; asked.jsonl, row 10: read 'free'" in refusal
    assert refusal.endswith("Mend the requests, or declare the column otherwise.")


def test_a_number_that_the_kernel_cannot_take_in_of_a_request(place: Place) -> None:
    asked = write(place.directory / "asked.csv", [{**place.rides[0], "fare": 1e14}])
    assert "column fare, 1 row: asked.csv, row 1: read '1e+14'" in place.refusal(asked)
    assert "less than 2^53 in units of 1/100" in place.refusal(asked)


def test_a_row_of_requests_that_cannot_be_split(place: Place) -> None:
    asked = write(place.directory / "asked.csv", place.rides)
    asked.write_text(asked.read_text() + "1,2,3\n")
    assert "column (the whole row), 1 row: asked.csv, row 21: read 3 fields" in place.refusal(asked)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (["at", "cab", "zone", "fare", "note", "tip"], "asked.csv: the column big is missing"),
        (["at", "cab", "zone", "fare", "note", "tip", "big", "more"], "asked.csv: the column more is not declared"),
    ],
)
def test_requests_with_other_columns(place: Place, columns: list[str], said: str) -> None:
    rows = [{**row, "more": 1} for row in place.rides]
    assert said in place.refusal(write(place.directory / "asked.csv", rows, columns))


def test_no_requests(place: Place) -> None:
    (place.directory / "asked.csv").write_text(",".join(place.rides[0]) + "\n")
    assert place.refusal(place.directory / "asked.csv") == (
        "there are no requests. Name their files with --requests PATH."
    )


def test_a_null_id(place: Place) -> None:
    declaration = declare(place.directory, "columns.note.role=id")
    said = dataclasses.replace(place, declaration=declaration).refusal()
    assert "column note" in said
    assert "a value in every request, because it is the request's identity" in said


def test_requests_that_are_not_there(place: Place) -> None:
    said = "nowhere.csv: no such file or directory. Name the data with --requests PATH."
    assert place.refusal(place.directory / "nowhere.csv") == said


def test_events_that_cannot_be_read(place: Place) -> None:
    (place.directory / "payments.csv").write_text("paid,logged\n1,2\n")
    assert "payments.csv: the column cab, number, amount, kind is missing" in place.refusal()
    (place.directory / "payments.csv").unlink()
    said = "payments.csv: no such file or directory. Name the data with --events payments=PATH, or in the declaration."
    assert place.refusal() == said


def test_events_that_do_not_count_are_told_by_reason(place: Place) -> None:
    rows: list[dict[str, Any]] = make(2, rides=0, payments=6).payments[:6]
    for row in rows:
        row["logged"] = row["paid"]
    rows[0]["amount"] = "much"
    rows[1]["paid"] = None
    rows[2]["amount"] = 1e13
    rows[3]["logged"] = rows[3]["paid"] + 601_000
    rows[4]["logged"] = rows[4]["paid"] - 5_001
    rows[5]["memo"] = "of a column that is not read"
    path = write(
        place.directory / "payments.csv", [{k: None if v is None else str(v) for k, v in row.items()} for row in rows]
    )
    path.write_text(path.read_text() + "1,2\n")
    account = backfill(place.declaration, place.events, None, place.directory / "out")
    said = [str(rejection).replace(f"{place.directory}/", "") for rejection in account.rejections]
    assert sorted(said) == sorted(
        [
            "payments, 1 event (schema): column amount: accepted: a finite number; payments.csv, row 1.",
            "payments, 1 event (schema): column paid: accepted: a value in every event, because it is the event's "
            "time; payments.csv, row 2.",
            "payments, 1 event (value): a number is not finite, or 2^53 or more in its units; payments.csv, row 3.",
            "payments, 1 event (late): taken in more than 600 s after the event's time; payments.csv, row 4.",
            "payments, 1 event (future): the event's time lies more than 5 s after it was taken in; payments.csv, "
            "row 5.",
            "payments, 1 event (schema): accepted: 7 fields, as in the header, fields with commas in quotes; "
            "payments.csv, row 7: read 2 fields in '1,2'.",
        ]
    )
    assert account.events["payments"] == 7
    assert account.counted["payments"] == 1


def test_a_source_that_is_not_declared(place: Place) -> None:
    with pytest.raises(InputError, match=r"--events trips: there is no such source. Declared are rides, payments"):
        backfill(place.declaration, {"trips": ["a.csv"]}, None, place.directory / "out")


def test_a_declaration_without_live_features(place: Place) -> None:
    text = RIDES[: RIDES.index("live:")] + RIDES[RIDES.index("label:") :]
    declaration = declare(place.directory / "none", text=text)
    with pytest.raises(DeclarationError, match=r"there are no live features to compute. Declare one"):
        backfill(declaration, {}, None, place.directory / "out")


def test_no_events_that_could_be_requests(place: Place) -> None:
    head, tail = RIDES.split("    rides: {time: at, lateness: 1h}\n")
    features = [
        line
        for line in tail.splitlines()
        if "source: rides" not in line and "default: -1, window: 1d, delay" not in line
    ]
    declaration = declare(place.directory / "own", text=head + "\n".join(features))
    with pytest.raises(InputError, match=r"no events are requests. Name the requests with --requests PATH"):
        backfill(declaration, {"payments": place.events["payments"]}, None, place.directory / "out")


def test_an_output_that_is_there(place: Place) -> None:
    (place.directory / "out").mkdir()
    backfill(place.declaration, place.events, None, place.directory / "out")  # an empty directory is none
    before = read(place.directory / "out")
    with pytest.raises(OutputError, match=r"out: is there already. Remove it, or name another --output"):
        backfill(place.declaration, place.events, None, place.directory / "out")
    assert read(place.directory / "out") == before


def test_two_at_once(place: Place) -> None:
    (place.directory / ".out.partial").mkdir()
    with (
        FileLock(place.directory / ".out.partial" / ".lock"),
        pytest.raises(BusyError, match=r"out: another backfill is writing it. Wait for it"),
    ):
        backfill(place.declaration, place.events, None, place.directory / "out")
    assert not (place.directory / "out").exists()


_COMMAND = """
import resource
import sys
from pathlib import Path
import typer
from pipeline.cli.backfill import backfill_command
most = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
app = typer.Typer(pretty_exceptions_enable=False)
app.command()(backfill_command)
app()
"""


@contextlib.contextmanager
def _started(place: Place, rows: int, file_bytes: int = resource.RLIM_INFINITY) -> Iterator[subprocess.Popen[str]]:
    """The command on so many rides, in a process of its own that can write no larger file."""
    rides = write(place.directory / "many.parquet", make(3, rides=2000, payments=1).rides * (rows // 2000))
    sources = "--events", "rides=many.parquet", "--events", "payments=payments.csv", "--requests", str(rides)
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, str(file_bytes), "--features", "features.yaml", "--output", "out", *sources],
        cwd=place.directory,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _wait_for_pieces(place: Place) -> None:
    until = time.monotonic() + 120
    while not list(place.directory.glob(".out.partial/pieces/*.arrow")):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_full_disk(place: Place) -> None:
    with _started(place, 4000, file_bytes=20_000) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == OutputError.exit_code, err
    assert "the disk is full" in err
    assert not [path for path in place.directory.iterdir() if "out" in path.name]


def test_killed_in_the_middle_and_run_again(place: Place) -> None:
    with _started(place, 400_000) as process:
        _wait_for_pieces(place)
        process.kill()
        process.communicate(timeout=120)
    assert not (place.directory / "out").exists()
    assert (place.directory / ".out.partial").exists()
    backfill(place.declaration, place.events, None, place.directory / "out")
    assert len(read(place.directory / "out")) == len(place.rides)
    assert not (place.directory / ".out.partial").exists()


def test_the_output_appears_in_one_step(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(self: Path, target: Path) -> None:
        assert len(read(self)) == len(place.rides)
        raise OSError("the power failed")

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match=r"the power failed"):
        backfill(place.declaration, place.events, None, place.directory / "out")
    assert not [path for path in place.directory.iterdir() if "out" in path.name]


def test_interrupted(place: Place) -> None:
    with _started(place, 400_000) as process:
        _wait_for_pieces(place)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert err.startswith("error: interrupted")
    assert not [path for path in place.directory.iterdir() if "out" in path.name]


def test_the_command_says_what_it_did(place: Place) -> None:
    with _started(place, 2000) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "rides: 2,000 events read, 2,000 counted" in out
    assert "payments/cab: " in out
    assert "2,000 requests, 9 features" in out
    assert len(read(place.directory / "out")) == 2000
