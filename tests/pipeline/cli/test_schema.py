"""Data against the curated schema: anomalies stop a run, and `schema accept` takes them in."""

import re
import shlex
import signal

import pytest

from tests.pipeline.cli.in_process import call
from tests.pipeline.cli.trips import Trips, finish, read_csv, wait_for

ANOMALIES = 5


@pytest.fixture
def barter(trips: Trips) -> Trips:
    """The dataset with a payment type in 10 rows, and an unpaid trip in one, that the curated schema does not know."""
    for row in (1, 2, 3, 150, 151, 152, 153, 300, 301, 302):
        trips.edit(row, payment_type="Barter")
    schema = trips.schema.read_text()
    trips.schema.write_text(
        schema.replace('name: "fare"\n  type: FLOAT\n', 'name: "fare"\n  type: FLOAT\n  float_domain { min: 3.0 }\n')
    )
    return trips


def anomalies(err: str) -> dict[tuple[str, str], int]:
    """The rows by (split, feature) in the table."""
    lines = err.splitlines()
    header = next(
        number for number, line in enumerate(lines) if re.fullmatch(r"  split +feature +what is wrong +rows", line)
    )
    table = [re.split(r"\s{2,}", line.strip()) for line in lines[header + 1 :] if line.startswith("  ")]
    return {(split, feature): int(rows.replace(",", "")) for split, feature, *_, rows in table}


@pytest.mark.slow
def test_anomalies_stop_the_run_until_they_are_accepted(barter: Trips) -> None:
    stopped = barter.call("run", "--set", "training.steps=20")
    assert stopped.exit_code == ANOMALIES
    assert "the data contradicts the curated schema:" in stopped.err
    assert "Barter" in stopped.err
    assert "take it into the schema with `twinbeam schema accept`" in stopped.err
    found = anomalies(stopped.err)
    assert sum(rows for (_, feature), rows in found.items() if feature == "payment_type") == 10
    assert sum(rows for (_, feature), rows in found.items() if feature == "fare") == cheap(barter)
    assert barter.pushed() == {}

    command = shlex.split(stopped.err.partition("\naccept it  uv run twinbeam ")[2])
    assert command == barter.arguments("schema accept", "--set", "training.steps=20")
    accepted = call(*command, "--json")
    assert accepted.exit_code == 0
    assert accepted.result == {
        "schema": str(barter.schema),
        "changes": [
            {
                "feature": "fare",
                "before": "float, in every row, in [3, inf]",
                "after": "float, in every row, in [0, inf]",
            },
            {
                "feature": "payment_type",
                "before": "bytes, in every row, one of 5 values",
                "after": "bytes, in every row, one of 6 values",
            },
        ],
    }
    assert '"Barter"' in barter.schema.read_text()

    again = barter.call("schema accept")
    assert again.out.splitlines()[-1] == f"{barter.schema}: the data is already in it; nothing changed."

    process = barter.start("run")
    assert re.search("done   ExampleValidator .* no anomalies", wait_for(process, "ExampleValidator")[-1])
    finish(process, signal.SIGINT)


def cheap(trips: Trips) -> int:
    return sum(float(row["fare"]) < 3 for row in read_csv(trips.data))


def test_the_first_schema_is_made_from_the_data(trips: Trips) -> None:
    curated = trips.schema.read_text()
    trips.schema.unlink()
    accepted = trips.call("schema accept")
    assert accepted.exit_code == 0
    assert trips.schema.read_text() == curated
    for feature in ("big_tip", "fare", "payment_type", "trip_seconds", "trip_start_timestamp"):
        assert re.search(rf"{feature}\W+not in the schema\W+(int|float|bytes), (in every row|optional)", accepted.out)


def test_a_schema_that_cannot_be_read_is_not_overwritten(trips: Trips) -> None:
    trips.schema.write_text("feature {")
    accepted = trips.call("schema accept")
    assert accepted.exit_code == 3
    assert "schema.pbtxt: not a schema in text format" in accepted.err
    assert trips.schema.read_text() == "feature {"
