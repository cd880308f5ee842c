import numpy as np
import pyarrow as pa
import pytest

from pipeline.ingest.problems import Problem, merge, problem


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            Problem("fare", "a number", 1, ("a.csv, row 2: read 'x'",)),
            "column fare, 1 row: a.csv, row 2: read 'x'. Accepted: a number.",
        ),
        (
            Problem("fare", "a number", 12_345, ("a.csv, row 2: read 'x'", "b.csv, row 3: read 'y'")),
            "column fare, 12,345 rows: a.csv, row 2: read 'x'; b.csv, row 3: read 'y'. Accepted: a number.",
        ),
    ],
)
def test_words(found: Problem, words: str) -> None:
    assert str(found) == words


def test_a_problem_counts_all_rows_and_shows_three() -> None:
    bad = np.array([False, True, True, False, True, True])
    rows = np.array([11, 12, 14, 15, 16, 17])
    found = problem("a.csv", rows, "fare", "a number", pa.array(list("abcdef")), bad)
    examples = ("a.csv, row 12: read 'b'", "a.csv, row 14: read 'c'", "a.csv, row 16: read 'e'")
    assert found == Problem("fare", "a number", 4, examples)


@pytest.mark.parametrize(
    ("values", "read"),
    [
        (pa.array([None], pa.string()), "None"),
        (pa.array([1.5]), "1.5"),
        (pa.array(["x" * 100]), "'" + "x" * 79 + "..."),  # a message is no place for a whole document
        (pa.array([2**62], pa.timestamp("s")), "4611686018427387904 as timestamp[s]"),  # no datetime is so late
        (pa.array([2**31 - 1], pa.int32()).cast(pa.date32()), "2147483647 as date32[day]"),
    ],
)
def test_what_was_read(values: pa.Array, read: str) -> None:
    found = problem("a.csv", np.array([1]), "x", "y", values, np.array([True]))
    assert found.examples == (f"a.csv, row 1: read {read}",)


def test_merging_adds_up_the_same_rule_of_the_same_column() -> None:
    def of(column: str, rule: str, count: int, *examples: str) -> Problem:
        return Problem(column, rule, count, examples)

    merged = merge([of("a", "r", 3, "1", "2"), of("b", "r", 1, "x"), of("a", "s", 1, "y"), of("a", "r", 4, "3", "4")])
    assert merged == [of("a", "r", 7, "1", "2", "3"), of("b", "r", 1, "x"), of("a", "s", 1, "y")]
    assert merge(merged) == merged
    assert merge([]) == []
