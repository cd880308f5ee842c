"""What ExampleGen refuses once it has read everything."""

import dataclasses

import pytest

from modules.spec import Declaration, InputError, load_declaration
from pipeline.components.example_gen import check
from pipeline.ingest.ingest import Summary
from pipeline.ingest.problems import Problem
from tests.pipeline.cli.trips import DATASET

GOOD = Summary(
    rows={"train": 70, "validation": 10, "eval": 20},
    positives={"train": 7, "validation": 0, "eval": 19},
    nulls={"trip_seconds": 99, "fare": 0},
)


@pytest.fixture(scope="module")
def declaration() -> Declaration:
    return load_declaration(DATASET / "features.yaml")


def test_good_rows(declaration: Declaration) -> None:
    check(GOOD, declaration)  # in the validation split one class is enough


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # What cannot be read comes before what was read.
        ({"unreadable": ["a.csv: torn.", "b.csv: torn."], "rows": {}}, "^a.csv: torn.\nb.csv: torn.$"),
        (
            {"problems": [Problem("fare", "a number", 2, ("a.csv, row 1: read 'x'",))]},
            "^column fare, 2 rows: a.csv, row 1: read 'x'. Accepted: a number.\nMend the data, or declare the column",
        ),
        ({"rows": {}}, "the data holds no rows. Name other data with --data PATH."),
        (
            {"rows": {"train": 70, "eval": 20}},
            "the split validation holds none of the 90 rows. Change `split`, or give",
        ),
        (
            {"nulls": {"fare": 100}},
            "column fare is null in all 100 rows. Mend the data, or declare it with role: ignored",
        ),
        (
            {"positives": {"train": 70, "eval": 1}},
            "the label big_tip is 1 in all 70 rows of the split train, and a model cannot learn",
        ),
        (
            {"positives": {"train": 1}},
            "the label big_tip is 0 in all 20 rows of the split eval, and a model cannot be judged",
        ),
    ],
)
def test_rows_that_a_model_cannot_be_trained_on(
    declaration: Declaration, change: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check(dataclasses.replace(GOOD, **change), declaration)  # type: ignore[arg-type]
