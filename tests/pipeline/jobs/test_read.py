"""Requests in files, answered from a store: one Parquet file, complete or not at all."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from modules.spec import ROW_ID, Declaration, DeclarationError, InputError, OutputError, StoreUnavailable
from pipeline.ingest.fingerprint import check
from pipeline.jobs.read import read
from pipeline.live.place import Place
from pipeline.live.reader import FeatureReader, Status
from tests.pipeline.cli.in_process import call
from tests.pipeline.cli.test_output import small_disk
from tests.pipeline.live.filled import OWN, declare, fill
from tests.pipeline.live.rides import SECOND, Event, rides
from tests.pipeline.stores.servers import free_port

RIDES = rides(300)
END = RIDES[-1]["taken_in"]
ASKED = [
    *({**event, "at": END + n * SECOND, "good": n % 2} for n, event in enumerate(RIDES[:40])),
    {**RIDES[0], "at": END, "rider": 999, "good": 0},
    {**RIDES[0], "at": END, "rider": None, "good": 0},
    {**RIDES[0], "at": RIDES[0]["at"], "good": 0},
]


@pytest.fixture
def declaration(tmp_path: Path) -> Declaration:
    return declare(tmp_path)


@pytest.fixture
def store(tmp_path: Path, declaration: Declaration, quick_disk: None) -> str:
    url = f"sqlite://{tmp_path}/live.db"
    fill(declaration, Place(url, declaration.features_fingerprint), {"rides": RIDES})
    return url


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    return write(tmp_path / "requests.jsonl", ASKED)


def write(path: Path, events: Sequence[Event]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
        return path
    table = pa.Table.from_pylist(events)
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    return path


def left(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} - {"own.yaml"}


def test_each_request_has_its_columns_and_each_value_its_status(
    tmp_path: Path, declaration: Declaration, store: str, requests: Path
) -> None:
    found = read(declaration, store, str(requests), tmp_path / "answers.parquet")
    table = pq.read_table(tmp_path / "answers.parquet")
    own = [*declaration.columns, ROW_ID]
    assert table.column_names == [
        *own, *(name + end for name in declaration.live_features for end in ("", "_status", "_complete"))
    ]  # fmt: skip
    assert table["rider"].to_pylist() == [event["rider"] for event in ASKED]
    assert table["at"].cast(pa.int64()).to_pylist() == [event["at"] for event in ASKED]
    with FeatureReader.open(declaration, store) as reader:
        for row, event in zip(table.to_pylist(), ASKED, strict=True):
            for name, value in reader.read_one(event, event["at"]).items():
                status = Status(value.status.item())
                assert row[name] == (None if status == Status.TOO_OLD else value.values.item())
                assert row[f"{name}_status"] == status.words
                assert row[f"{name}_complete"] == value.complete.item()
    statuses = [row[f"{name}_status"] for name in declaration.live_features for row in table.to_pylist()]
    assert found.values == {words: statuses.count(words) for words in ("known", "empty", "unknown", "too old")}
    assert min(found.values["known"], found.values["unknown"], found.values["too old"]) > 0
    assert found.requests == len(ASKED)
    assert found.incomplete == sum(
        not row[f"{name}_complete"] for name in declaration.live_features for row in table.to_pylist()
    )
    check("answers", table.schema, declaration)
    assert table["rides_5m"].type == pa.int64()
    assert table[OWN[0]].type == pa.float64()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_formats_are_read_alike(
    tmp_path: Path, declaration: Declaration, store: str, requests: Path, suffix: str
) -> None:
    answers = [tmp_path / "one.parquet", tmp_path / "other.parquet"]
    read(declaration, store, str(requests), answers[0])
    read(declaration, store, str(write(tmp_path / f"requests.{suffix}", ASKED)), answers[1])
    assert pq.read_table(answers[0]).equals(pq.read_table(answers[1]))


def test_several_files_are_read_in_order(tmp_path: Path, declaration: Declaration, store: str) -> None:
    directory = tmp_path / "requests"
    directory.mkdir()
    write(directory / "b.jsonl", ASKED[20:])
    write(directory / "a.jsonl", ASKED[:20])
    assert read(declaration, store, str(directory), tmp_path / "answers.parquet").requests == len(ASKED)
    table = pq.read_table(tmp_path / "answers.parquet")
    assert table["ride"].to_pylist() == [event["ride"] for event in ASKED]


def test_the_command_prints_what_it_read(tmp_path: Path, store: str, requests: Path) -> None:
    arguments: list[str | Path] = ["--features", tmp_path / "own.yaml", "--store", store, "--requests", requests]
    run = call("read", *arguments, "--output", tmp_path / "answers.parquet")
    assert run.exit_code == 0, run.err
    assert run.result.keys() == {"requests", "values", "incomplete"}
    assert run.result["requests"] == pq.read_metadata(tmp_path / "answers.parquet").num_rows == len(ASKED)
    assert run.result["values"].keys() == {"known", "empty", "unknown", "too old"}


def test_a_store_without_the_rows_answers(tmp_path: Path, declaration: Declaration, requests: Path) -> None:
    found = read(declaration, f"sqlite://{tmp_path}/none.db", str(requests), tmp_path / "answers.parquet")
    assert found.values["empty"] == found.values["too old"] == 0
    assert found.incomplete > 0
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"rider": "x"},
            r"column rider, 1 row: .*requests.jsonl, row 2: read 'x'. Accepted: a whole number below 2\^63",
        ),
        ({"at": None}, "column at, 1 row: .*row 2: read None. Accepted: a value in every request, because it is the"),
        ({"amount": 1e17}, r"column amount, 1 row: .*row 2: read 1e\+17. Accepted: less than 2\^53 in units of 1/100"),
    ],
)
def test_a_request_that_does_not_fit(
    tmp_path: Path, declaration: Declaration, store: str, change: Event, message: str
) -> None:
    asked = [{key: str(value) if change.get(key) == "x" else value for key, value in e.items()} for e in ASKED[:3]]
    requests = write(tmp_path / "requests.jsonl", [asked[0], asked[1] | change, asked[2]])
    with pytest.raises(InputError, match=message):
        read(declaration, store, str(requests), tmp_path / "answers.parquet")
    assert "answers.parquet" not in left(tmp_path)


def test_what_is_no_request(tmp_path: Path, declaration: Declaration, store: str) -> None:
    output = tmp_path / "answers.parquet"
    with pytest.raises(
        InputError, match=r"nowhere.csv: no such file or directory\. Name the data with --requests PATH\.$"
    ):
        read(declaration, store, f"{tmp_path}/nowhere.csv", output)
    (tmp_path / "header.csv").write_text(",".join(declaration.columns) + "\n")
    with pytest.raises(InputError, match=r"there are no requests\. Name their files with --requests PATH"):
        read(declaration, store, f"{tmp_path}/header.csv", output)
    (tmp_path / "less.csv").write_text("rider\n1\n")
    with pytest.raises(InputError, match=r"less.csv: the column at, .* is missing"):
        read(declaration, store, f"{tmp_path}/less.csv", output)
    plain = declaration.model_copy(update={"live": None})
    with pytest.raises(DeclarationError, match=r"no live features to read\. Declare one under live\.features"):
        read(plain, store, f"{tmp_path}/header.csv", output)
    assert not output.exists()


def test_a_store_that_is_down(tmp_path: Path, declaration: Declaration, requests: Path) -> None:
    output = tmp_path / "answers.parquet"
    output.write_text("before")
    with pytest.raises(StoreUnavailable, match="Look whether the server is up"):
        read(declaration, f"redis://127.0.0.1:{free_port()}/0", str(requests), output)
    assert left(tmp_path) == {"answers.parquet", "requests.jsonl"}
    assert output.read_text() == "before"


def test_one_that_goes_away_in_between_leaves_nothing(
    tmp_path: Path, declaration: Declaration, store: str, requests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, calls = FeatureReader.read, []

    def once(self: FeatureReader, columns: dict[str, pa.Array], times: np.ndarray) -> object:
        calls.append(1)
        if len(calls) > 1:
            raise StoreUnavailable("gone")
        return answer(self, columns, times)

    monkeypatch.setattr(FeatureReader, "read", once)
    write(tmp_path / "requests2.jsonl", ASKED)
    with pytest.raises(StoreUnavailable):
        read(declaration, store, f"{tmp_path}/requests*.jsonl", tmp_path / "answers.parquet")
    assert not {name for name in left(tmp_path) if "answers" in name}


def test_outputs_that_cannot_be_written(tmp_path: Path, declaration: Declaration, store: str, requests: Path) -> None:
    (tmp_path / "directory").mkdir()
    for output, why in (
        (tmp_path / "none" / "a.parquet", "no such directory"),
        (tmp_path / "directory", "Is a directory"),
    ):
        with pytest.raises(
            OutputError, match=rf"{output}: cannot be written: .*{why}.* name another with --output FILE"
        ):
            read(declaration, store, str(requests), output)
    assert not [name for name in left(tmp_path) if "partial" in name]


def test_a_full_disk(tmp_path: Path, declaration: Declaration, store: str, requests: Path) -> None:
    with small_disk(tmp_path / "disk", 4):
        output = tmp_path / "disk" / "answers.parquet"
        with pytest.raises(OutputError, match=rf"{output}: cannot be written: .*No space left on device"):
            read(declaration, store, str(requests), output)
        assert list((tmp_path / "disk").iterdir()) == []
