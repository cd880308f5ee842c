"""What a prediction refuses, what it says of it, and that it then leaves nothing behind."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from modules.spec import (
    BusyError,
    DeclarationError,
    InputError,
    NotFoundError,
    OutputError,
    StoreUnavailable,
    TwinbeamError,
)
from pipeline.live.place import Place as Rows
from pipeline.live.reader import FeatureReader
from pipeline.prediction.predict import predict
from pipeline.serving.fingerprint import check_model
from pipeline.whole_directory import clear, whole_directory
from tests.conftest import ROOT
from tests.pipeline.jobs.rides import RIDES, declare, write
from tests.pipeline.live import filled
from tests.pipeline.live.rides import rides
from tests.pipeline.prediction.conftest import OVERRIDES, Place, asked
from tests.pipeline.prediction.small_model import export_sum
from tests.pipeline.serving.model_server import models
from tests.pipeline.stores.servers import free_port


def refusal(place: Place, requests: Path | str, kind: type[TwinbeamError] = InputError, **more: Any) -> str:
    """What is said of requests; nothing is left behind."""
    arguments: dict[str, Any] = {"declaration": place.declaration, "model": place.model, "events": place.events} | more
    with pytest.raises(kind) as caught:
        predict(requests=str(requests), output=place.directory / "out", **arguments)
    assert not {name for name in place.left() if "out" in name}
    return str(caught.value).replace(f"{place.directory}/", "")


def test_all_that_is_wrong_with_requests_is_said_at_once(place: Place) -> None:
    declaration = declare(place.directory, OVERRIDES[0])  # which requires a fare
    rows = asked(place)
    for at, changed in (
        (3, {"at": "yesterday"}), (4, {"at": None}), (7, {"fare": "free"}), (9, {"fare": "free"}), (11, {"fare": None}),
        (12, {"tip": "much"}),
    ):  # fmt: skip
        rows[at] |= changed
    path = place.directory / "asked.jsonl"
    texts = [{name: None if value is None else str(value) for name, value in row.items()} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in texts))
    lacking = [number for number, row in enumerate(rows, start=1) if row["fare"] is None]
    model = export_sum(declaration, place.directory / "model")
    said = refusal(place, path, declaration=declaration, model=model)
    assert "column at, 1 row: asked.jsonl, row 4: read 'yesterday'. Accepted: a whole number of s since" in said
    assert "column at, 1 row: asked.jsonl, row 5: read None. Accepted: a value in every request, because it is " in said
    assert "column fare, 2 rows: asked.jsonl, row 8: read 'free'; asked.jsonl, row 10: read 'free'. Accepted: a" in said
    assert f"column fare, {len(lacking)} rows: asked.jsonl, row {lacking[0]}: read None; " in said
    assert "Accepted: a value in every request, because the model needs it." in said
    assert "column tip, 1 row: asked.jsonl, row 13: read 'much'. Accepted: a finite number" in said
    assert said.endswith("Mend the requests, or declare the column otherwise.")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fare": None}, "asked.csv: the column fare is missing"),
        ({"cab": None}, "asked.csv: the column cab is missing"),
        ({"at": None}, "asked.csv: the column at is missing"),
        ({"zone": None}, "asked.csv: the column zone is missing"),  # optional in a row, and not a column to forget
        ({"more": 1}, "asked.csv: the column more is not declared"),
        ({"rides_1h": 3}, "asked.csv: the column rides_1h is not declared"),  # a live feature is looked up
        ({"fare": 1e14}, "less than 2^53 in units of 1/100"),
        ({"fare": 1e39}, "Accepted: a finite number that float32 holds"),
    ],
)
def test_requests_that_do_not_fit(place: Place, change: dict[str, Any], said: str) -> None:
    rows = [row | change for row in asked(place)]
    columns = [name for name in rows[0] if change.get(name, 0) is not None]
    assert said in refusal(place, write(place.directory / "asked.csv", rows, columns))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("asked.csv", "at,cab,zone,fare,note,tip,big\n", "there are no requests. Name their files with --requests"),
        ("asked.csv", "", "asked.csv: the file is empty. Remove it, or name other data with --requests PATH."),
        ("asked.jsonl", "{", "asked.jsonl, row 1: not JSON: Expecting property name"),
        ("asked.parquet", "at,cab", "asked.parquet: cannot be read as parquet"),
        ("asked.txt", "at,cab", "asked.txt: the name does not say the format; accepted: .csv"),
        ("asked.csv", "at,cab,zone,fare,note,tip,big\n1,2,3\n", "asked.csv, row 1: read 3 fields in '1,2,3'"),
        ("other.csv", "", "asked.csv: no such file or directory. Name the data with --requests PATH."),
    ],
)
def test_files_that_are_no_requests(place: Place, name: str, content: str, said: str) -> None:
    (place.directory / name).write_text(content)
    assert said in refusal(place, place.directory / name.replace("other", "asked"))


def test_events_that_cannot_be_read(place: Place) -> None:
    requests = write(place.directory / "asked.csv", asked(place))
    broken = write(place.directory / "payments.csv", [{"paid": 1, "logged": 2}])
    assert "payments.csv: the column cab, number, amount, kind is missing" in refusal(
        place, requests, events=place.events | {"payments": [str(broken)]}
    )
    assert "--events trips: there is no such source" in refusal(place, requests, events={"trips": ["a.csv"]})


def test_columns_that_are_called_as_what_is_added(place: Place) -> None:
    text = RIDES.replace("  note: {", "  score: {")
    said = refusal(place, "asked.csv", DeclarationError, declaration=declare(place.directory / "a", text=text))
    assert said == "score: predictions have a column of this name. Give the declared one another."
    text = RIDES.replace("  note: {", "  rides_1h_status: {")
    named = declare(place.directory / "b", text=text)
    assert "rides_1h_status: " in refusal(place, "a", DeclarationError, declaration=named, events=None, store="sqlite:")


def test_what_is_no_model(place: Place, tmp_path: Path) -> None:
    nowhere = tmp_path / "1"
    with pytest.raises(NotFoundError, match=rf"{nowhere}: this is no model: saved_model.pb cannot be read: .*No such"):
        check_model(nowhere, place.declaration)
    nowhere.mkdir()
    (nowhere / "saved_model.pb").write_bytes(b"\x0a\x02garbage")
    with pytest.raises(NotFoundError, match=r"this is no model: .* Push one with `twinbeam run`"):
        check_model(nowhere, place.declaration)
    (nowhere / "saved_model.pb").write_bytes(b"")
    with pytest.raises(NotFoundError, match=r"this is no model: .* Push one with `twinbeam run`"):
        check_model(nowhere, place.declaration)
    other = models.linear(tmp_path / "linear")
    with pytest.raises(DeclarationError, match=r"linear: the model has no signature features_fingerprint, so nobody"):
        check_model(other, place.declaration)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("live.features.rides_1h.window=2h",), "the model was trained on live features of the fingerprint"),
        (("live.features.fare_6h.default=7",), "the model was trained on defaults of live features of the fingerprint"),
        (("columns.fare.missing=required",), "for fare the model takes float32 that may be missing, and the declaration"
                                            " has float32."),
        (("columns.note={type: string, role: feature, transform: {name: hash, buckets: 9}}",),
         "for note the model takes nothing, and the declaration has string."),
        (("columns.zone={type: string, role: key}",),
         "for zone the model takes string that may be missing, and the declaration has nothing."),
    ],
)  # fmt: skip
def test_a_model_of_other_features(place: Place, overrides: tuple[str, ...], said: str) -> None:
    other = declare(place.directory / "other", *OVERRIDES, *overrides)
    found = refusal(place, "asked.csv", DeclarationError, declaration=other)
    assert said in found
    assert "Run `twinbeam run` with this declaration, or name the model's own with --features FILE." in found
    check_model(place.model, place.declaration)
    later = declare(place.directory / "later", *OVERRIDES, "live.lookback=3h", "live.features.rides_1h.description=x")
    check_model(place.model, later)  # which changes no value


def test_an_output_that_is_there(place: Place) -> None:
    requests = write(place.directory / "asked.csv", asked(place))
    output = place.directory / "out"
    output.mkdir()
    predict(place.declaration, place.model, str(requests), output, place.events)  # an empty directory is none
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    with pytest.raises(OutputError, match=r"out: is there already. Remove it, or name another --to DIR"):
        predict(place.declaration, place.model, str(requests), output, place.events)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before


def test_two_at_once(place: Place) -> None:
    requests = write(place.directory / "asked.csv", asked(place))
    (place.directory / ".out.partial").mkdir()
    with (
        FileLock(place.directory / ".out.partial" / ".lock"),
        pytest.raises(BusyError, match=r"out: another prediction is writing it. Wait for it"),
    ):
        predict(place.declaration, place.model, str(requests), place.directory / "out", place.events)
    assert not (place.directory / "out").exists()


def test_an_interrupt_removes_nothing_of_another_job(tmp_path: Path) -> None:
    (tmp_path / ".out.partial").mkdir()
    clear(tmp_path / "out")
    assert (tmp_path / ".out.partial").exists()
    with whole_directory(tmp_path / "out", "prediction", "--to DIR") as (_, parts):
        clear(tmp_path / "out")
        assert not (tmp_path / ".out.partial").exists()
        parts.mkdir(parents=True)


def test_an_output_that_cannot_be_written(place: Place) -> None:
    requests = write(place.directory / "asked.csv", asked(place))
    with pytest.raises(OutputError, match=r"asked.csv/out: cannot be written: .*Name another --to DIR"):
        predict(place.declaration, place.model, str(requests), requests / "out", place.events)


@pytest.fixture
def store(tmp_path: Path, quick_disk: None) -> str:
    declaration = filled.declare(tmp_path)
    url = f"sqlite://{tmp_path}/live.db"
    filled.fill(declaration, Rows(url, declaration.features_fingerprint), {"rides": rides(60)})
    return url


def test_a_store_that_is_down_or_none(tmp_path: Path, live_model: Path) -> None:
    declaration = filled.declare(tmp_path)
    requests = str(write(tmp_path / "asked.jsonl", rides(20)))
    with pytest.raises(StoreUnavailable, match=r"Look whether the server is up"):
        predict(declaration, live_model, requests, tmp_path / "out", store=f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(InputError, match=r"mongo://a"):
        predict(declaration, live_model, requests, tmp_path / "out", store="mongo://a")
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_a_store_that_goes_away_in_between(
    tmp_path: Path, live_model: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, calls = FeatureReader.read, []

    def once(self: FeatureReader, columns: dict[str, pa.Array], times: np.ndarray) -> object:
        calls.append(1)
        if len(calls) > 1:
            raise StoreUnavailable("gone")
        return answer(self, columns, times)

    monkeypatch.setattr(FeatureReader, "read", once)
    for number in range(4):
        write(tmp_path / "asked" / f"{number}.jsonl", rides(5))
    with pytest.raises(StoreUnavailable, match=r"^gone$"):
        predict(filled.declare(tmp_path), live_model, str(tmp_path / "asked"), tmp_path / "out", store=store)
    assert len(calls) == 2
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_the_output_appears_in_one_step(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = write(place.directory / "asked.csv", asked(place))

    def rename(self: Path, target: Path) -> None:
        assert sum(pq.read_metadata(path).num_rows for path in self.iterdir()) == len(asked(place))
        raise OSError("the power failed")

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match=r"the power failed"):
        predict(place.declaration, place.model, str(requests), place.directory / "out", place.events)
    assert "out" not in place.left()
    assert ".out.partial" not in place.left()


@contextlib.contextmanager
def _started(place: Place, times: int, file_bytes: int = resource.RLIM_INFINITY) -> Iterator["subprocess.Popen[str]"]:
    """The command on the requests so many times over, in a process of its own that can write no larger file."""
    write(place.directory / "many.parquet", asked(place) * times)
    base = place.directory / "build" / "serving_model" / "rides"
    base.mkdir(parents=True)
    (base / "1").symlink_to(place.model)
    sets = [part for override in OVERRIDES for part in ("--set", override)]
    events = [part for name in place.events for part in ("--events", f"{name}={name}.parquet")]
    options = ["--features", "features.yaml", "--requests", "many.parquet", "--to", "out", *sets, *events]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli.main", "predict", *options],
        cwd=place.directory, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes)),
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _wait_for(place: Place, pattern: str) -> None:
    until = time.monotonic() + 120
    while not list(place.directory.glob(pattern)):
        assert time.monotonic() < until, place.left()
        time.sleep(0.01)


def test_a_full_disk(place: Place) -> None:
    with _started(place, 100, file_bytes=20_000) as process:
        out, _ = process.communicate(timeout=120)
    assert process.returncode == OutputError.exit_code, out
    assert json.loads(out)["error"] == ("out: the disk is full: File too large. Make room, or name another --to DIR.")
    assert not {name for name in place.left() if "out" in name}


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again(place: Place) -> None:
    with _started(place, 5_000) as process:
        _wait_for(place, ".out.partial/parts/*.parquet")  # the first scores are there
        process.kill()
        process.communicate(timeout=120)
    assert "out" not in place.left()
    assert ".out.partial" in place.left()
    requests = write(place.directory / "asked.csv", asked(place))
    predict(place.declaration, place.model, str(requests), place.directory / "out", place.events)
    assert [path.name for path in (place.directory / "out").iterdir()] == ["part-00000-00000.parquet"]
    assert ".out.partial" not in place.left()


@pytest.mark.slow
def test_interrupted(place: Place) -> None:
    with _started(place, 5_000) as process:
        _wait_for(place, ".out.partial/requests/*.parquet")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert '"error": "interrupted' in out
    assert not {name for name in place.left() if "out" in name}
