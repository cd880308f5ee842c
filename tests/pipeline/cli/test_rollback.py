"""`twinbeam rollback`: an earlier version becomes the newest again."""

import re

import pytest

from tests.pipeline.cli.trips import Trips, tree

NOT_FOUND = 9


@pytest.fixture
def three(trips: Trips) -> Trips:
    """The dataset with three versions pushed."""
    for version in (1, 2, 3):
        (trips.serving / str(version) / "assets").mkdir(parents=True)
        (trips.serving / str(version) / "saved_model.pb").write_text(f"model {version}")
    return trips


@pytest.mark.parametrize(
    ("arguments", "earlier"),
    [
        ([], 2),  # the one before the newest
        (["--to", "1"], 1),
        (["--to", "3"], 3),  # the newest itself is a version like any other
    ],
)
def test_rollback(three: Trips, arguments: list[str], earlier: int) -> None:
    run = three.call("rollback", *arguments, "--json")
    assert run.exit_code == 0
    assert run.result == {"from": earlier, "version": 4, "model": str(three.serving / "4")}
    assert tree(three.serving / "4") == tree(three.serving / str(earlier))
    assert {path.name for path in three.serving.iterdir()} == {"1", "2", "3", "4"}


def test_going_back_again_goes_further_back(three: Trips) -> None:
    assert three.call("rollback", "--json").result["from"] == 2
    assert three.call("rollback", "--json").result["from"] == 1
    run = three.call("rollback")
    assert "there is no version before the newest model's to go back to; found 1, 2, 3, 4, 5." in run.err
    assert run.exit_code == NOT_FOUND
    assert three.call("rollback", "--to", "3", "--json").result["from"] == 3
    assert three.call("rollback", "--json").result["from"] == 2


def test_rollback_says_what_it_did(three: Trips) -> None:
    run = three.call("rollback")
    assert run.out == f"version 4 is the newest, a copy of version 2: {three.serving / '4'}\n"


@pytest.mark.parametrize(
    ("keep", "arguments", "message"),
    [
        ([], [], "no model has been pushed here. Train one with `twinbeam run`."),
        (
            ["1"],
            [],
            "there is no version before the newest model's to go back to; found 1. Name one with --to.",
        ),
        (["1", "3"], ["--to", "2"], "there is no version 2; found 1, 3."),
    ],
)
def test_no_such_version(three: Trips, keep: list[str], arguments: list[str], message: str) -> None:
    for version in {"1", "2", "3"} - set(keep):
        (three.serving / version).rename(three.directory / version)
    before = tree(three.serving)
    run = three.call("rollback", *arguments)
    assert re.fullmatch(f"error: .*trips: {re.escape(message)}\n", run.err)
    assert run.exit_code == NOT_FOUND
    assert three.call("rollback", *arguments, "--json").result["exit_code"] == NOT_FOUND
    assert tree(three.serving) == before
