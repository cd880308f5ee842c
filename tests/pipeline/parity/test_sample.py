"""Which rows are compared: the same ones whatever files they are in, and each once."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modules.spec import EVAL, Declaration
from pipeline.ingest.examples import example_files
from pipeline.parity.sample import sample
from tests.artifacts import artifact, taxi


@pytest.fixture(scope="module")
def examples(taxi_run: Path) -> Path:
    return artifact(taxi_run, "ExampleGen", "examples")


def _ids(examples: Path, declaration: Declaration) -> list[bytes]:
    return sample(str(examples), declaration).ids.to_pylist()


def test_a_smaller_sample_is_part_of_a_greater_one(examples: Path) -> None:
    every, many, few = (set(_ids(examples, taxi(f"gate.rows={rows}"))) for rows in ("all", 300, 20))
    assert (len(every), len(many), len(few)) == (3001, 300, 20)
    assert few < many < every


def test_the_rows_do_not_depend_on_the_files(examples: Path, tmp_path: Path) -> None:
    [(_, path)] = example_files(str(examples), [EVAL])
    table = pq.read_table(path)
    _split(tmp_path, EVAL, table.slice(1000), table.slice(0, 1000))
    drawn = sample(str(tmp_path), taxi("gate.rows=50"))
    whole = sample(str(examples), taxi("gate.rows=50"))
    assert sorted(drawn.ids.to_pylist()) == sorted(whole.ids.to_pylist())
    of = dict(
        zip(whole.ids.to_pylist(), zip(*(c.to_pylist() for c in whole.columns.values()), strict=True), strict=True)
    )
    for number, row in enumerate(drawn.ids.to_pylist()):
        assert tuple(column[number].as_py() for column in drawn.columns.values()) == of[row]


def test_what_is_there_twice_is_left_aside(examples: Path, tmp_path: Path) -> None:
    [(_, path)] = example_files(str(examples), [EVAL])
    table = pq.read_table(path).slice(0, 10)
    _split(tmp_path, EVAL, table, table.slice(3, 1))
    _split(tmp_path, "train", table.slice(5, 1))
    kept = _ids(tmp_path, taxi("gate.rows=all"))
    ids = [value for [value] in table.column("row_id").to_pylist()]
    assert kept == [value for number, value in enumerate(ids) if number not in (3, 5)]


def test_where_the_rows_are_in_other_files(examples: Path) -> None:
    rows = sample(str(examples), taxi("gate.rows=3"))
    first, second, third = rows.ids.to_pylist()
    assert rows.find(pa.array([third, b"other", first], pa.large_binary())).tolist() == [2, -1, 0]
    assert rows.find(pa.array([second.decode()])).tolist() == [-1, 0, -1]


def _split(directory: Path, split: str, *tables: pa.Table) -> None:
    (directory / f"Split-{split}").mkdir()
    for number, table in enumerate(tables):
        pq.write_table(table, directory / f"Split-{split}" / f"examples-{number:05d}.parquet")
