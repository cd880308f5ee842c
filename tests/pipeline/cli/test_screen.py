"""What a person or a script sees: help, plain lines, the table of a terminal, JSON; and no library's noise."""

import json
import os
import pty
import re
import shutil

import pytest

from modules.spec import errors
from pipeline.results.record import RunRecord
from tests.pipeline.cli.conftest import Trained
from tests.pipeline.cli.in_process import call
from tests.pipeline.cli.trips import Trips, finish

COMMANDS = {
    "run": [
        "--features",
        "--set",
        "--data",
        "--output",
        "--tune",
        "--keep",
        "--no-cache",
        "--json",
        "--debug",
    ],
    "validate": ["--features", "--set", "--json", "--debug"],
    "schema accept": ["--features", "--set", "--data", "--output", "--json", "--debug"],
    "predict": ["--json", "--features", "--output", "--version", "--debug"],
    "rollback": ["--features", "--output", "--to", "--json", "--debug"],
}


def test_help_names_every_command_and_exit_code() -> None:
    text = " ".join(call("--help").out.replace("│", " ").split())
    for command in COMMANDS:
        assert re.search(rf"\b{command.split()[0]}\b", text)
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.TwinbeamError)
    ]
    codes = {kind.exit_code for kind in kinds}
    for code in (0, *sorted(codes), 2, 130):
        assert re.search(rf"\b{code} \w+", text), code


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command: str) -> None:
    run = call(*command.split(), "--help")
    assert run.exit_code == 0
    for option in COMMANDS[command]:
        assert option in run.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--colour"],
        ["run", "--keep", "0"],
        ["predict"],
        ["paint"],
        ["run", "--tune", "many"],
    ],
)
def test_wrong_options(arguments: list[str]) -> None:
    run = call(*arguments)
    assert run.exit_code == 2
    assert "Error" in run.err


def test_validate(trips: Trips) -> None:
    assert trips.call("validate").out == f"{trips.features}: valid; 5 columns, 3 features, 0 of them live.\n"
    found = trips.call("validate", "--json").result
    assert found["dataset"] == "trips"
    assert re.fullmatch("[0-9a-f]{64}", found["fingerprint"])
    edited = trips.call("validate", "--json", "--set", "training.seed=2").result
    assert edited["fingerprint"] != found["fingerprint"]
    wrong = trips.call("validate", "--json", "--set", "split.by=luck")
    assert wrong.exit_code == wrong.result["exit_code"] == 3
    assert "split.by" in wrong.result["error"]


PLAIN = [
    r"log: .*/logs/\S+\.log",
    r"(done  |reused) \w+ +\d+\.\d s  .*",
    r"trips, version 1",
    r"rows +auc +precision +recall +accuracy +log loss +calibration +time",
    r" *600( +\d+\.\d{4}){6} +\d+ s",
    r"model   .*/serving_model/trips/1",
    r"report  .*/report\.html",
    r"ask it  uv run twinbeam predict --features '.*' --output '.*' --json '\{.*\}'",
]


def test_a_run_says_only_this(trained: Trained) -> None:
    lines = [line.rstrip() for line in trained.run.out.splitlines()]
    kinds = [next((number for number, kind in enumerate(PLAIN) if re.fullmatch(kind, line)), line) for line in lines]
    assert kinds == [0, *[1] * 11, *range(2, len(PLAIN))]
    assert max(map(len, lines[12:15])) <= 80
    assert trained.run.err == ""
    [log] = (trained.trips.output / "logs").iterdir()
    assert "tensorflow" in log.read_text() or log.stat().st_size > 0


@pytest.mark.slow
def test_a_terminal_gets_a_table_that_is_drawn_anew(again: Trips) -> None:
    shutil.rmtree(again.serving)
    ours, theirs = pty.openpty()
    process = again.start("run", stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm", "COLUMNS": "120"})
    os.close(theirs)
    drawn = b""
    try:
        while part := os.read(ours, 1 << 16):
            drawn += part
    except OSError:  # how Linux says that the other end is closed
        pass
    assert finish(process).exit_code == 0
    text = drawn.decode()
    assert "\x1b[?25l" in text  # the cursor is hidden while the table is drawn,
    assert "\x1b[?25h" in text  # and comes back
    assert re.search(r"waiting.*Trainer", text)
    assert re.search(r"reused.*Trainer", text)
    assert "version 1" in text


def test_json_of_a_run_is_one_line_and_progress_goes_to_the_other_stream(again: Trips) -> None:
    shutil.rmtree(again.serving)
    run = again.call("run", "--json")
    assert len(run.out.splitlines()) == 1
    found = run.result
    assert found.pop("ran") is True
    record = RunRecord.model_validate_json(json.dumps(found))
    assert record == RunRecord.read(again.output / "last_run.json")
    assert record.rows == {"train": 420, "validation": 60, "eval": 120}
    assert record.version == 1
    assert record.metrics.keys() >= {"auc", "log_loss"}
    assert re.search("^reused Trainer ", run.err, re.MULTILINE)


def test_wrong_options_are_told_as_text() -> None:
    run = call("validate", "--json", "--feature")
    assert (run.exit_code, run.out) == (2, "")
    assert "No such option: --feature" in run.err
