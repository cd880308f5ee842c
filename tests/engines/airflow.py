"""The DAG in a real Airflow: a month of the taxi trips is trained and scored; the rest with a command that notes."""

import csv
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.ingest.files import find_files
from tests.artifacts import taxi
from tests.conftest import ROOT

PROJECT = ROOT / "deploy" / "airflow"
BINARIES = PROJECT / ".venv" / "bin"
SPANS = 24
COMMAND_S = 3000


class Airflow:
    """An Airflow with a database of its own, that has our DAG."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.output = directory / "build"
        self._environment = os.environ | {
            "AIRFLOW_HOME": str(directory / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "TWINBEAM": f"{sys.executable} -m pipeline.cli.main",
            "TWINBEAM_HOME": str(ROOT),
            "TWINBEAM_OUTPUT": str(self.output),
            "TWINBEAM_SCHEDULE": "@monthly",
            "TWINBEAM_SPANS": str(SPANS),
            **settings,
        }

    def __call__(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Runs a program of its environment."""
        line = [str(BINARIES / command[0]), *command[1:]]
        options = {"env": self._environment, "capture_output": True, "text": True, "timeout": COMMAND_S}
        return subprocess.run(line, check=False, **options)  # type: ignore[call-overload]

    def test(self, day: str) -> tuple[bool, str]:
        """A run of the DAG as of a day; whether it succeeded, and what it said."""
        done = self("airflow", "dags", "test", "twinbeam", day)
        said = done.stdout + done.stderr
        return re.search("Marking run <DagRun twinbeam .*> successful", said) is not None, said


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trips, a file a month that is named by its first day."""
    directory = tmp_path_factory.mktemp("months")
    [trips] = find_files(taxi().data)
    rows: dict[str, list[dict[str, str]]] = {}
    with open(trips.path, newline="") as file:
        for row in csv.DictReader(file):
            day = datetime.datetime.fromtimestamp(int(row["trip_start_timestamp"]), datetime.UTC)
            rows.setdefault(f"{day:%Y-%m}-01", []).append(row)
    for month, some in rows.items():
        with (directory / f"trips-{month}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(some[0]))
            writer.writeheader()
            writer.writerows(some)
    return directory


@pytest.fixture
def airflow(tmp_path: Path, months: Path) -> Airflow:
    if not (BINARIES / "airflow").exists():
        pytest.skip("`make airflow` sets up Airflow's environment")
    declared = Path(shutil.copytree(ROOT / "schema" / "taxi", tmp_path / "taxi")) / "features.yaml"
    declared.write_text(declared.read_text().replace("ablation_seeds: 5", "ablation_seeds: 0"))
    rows = f"{months}/trips-{{YYYY}}-{{MM}}-{{DD}}.csv"
    made = Airflow(tmp_path, TWINBEAM_DATA=rows, TWINBEAM_FEATURES=str(declared))
    done = made("airflow", "db", "migrate")
    assert done.returncode == 0, done.stderr
    return made


def rows_of(path: Path) -> int:
    with path.open(newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def test_a_month_is_trained_and_scored(airflow: Airflow, months: Path) -> None:
    succeeded, said = airflow.test("2016-12-01")
    assert succeeded, said
    record = json.loads((airflow.output / "last_run.json").read_text())
    read = sorted(path for path in months.iterdir() if path.name <= "trips-2016-11-01.csv")[-SPANS:]
    assert sum(record["rows"].values()) == sum(map(rows_of, read)), "none of December's"
    scores = pq.read_table(airflow.output / "scores" / "2016-11-01" / "1")
    assert len(scores) == rows_of(months / "trips-2016-11-01.csv")


NOTES = "import json, sys; open(sys.argv[1], 'a').write(json.dumps(sys.argv[3:]) + '\\n'); sys.exit(int(sys.argv[2]))"


@pytest.mark.parametrize(
    ("code", "tries_again"), [(1, True), (8, True), (3, False), (5, False), (6, False), (12, False)]
)
def test_exit_codes_say_whether_another_try_may_do(code: int, tries_again: bool, tmp_path: Path) -> None:
    if not (BINARIES / "airflow").exists():
        pytest.skip("`make airflow` sets up Airflow's environment")
    notes = tmp_path / "notes.jsonl"
    (tmp_path / "note.py").write_text(NOTES)
    asks = (
        "from airflow.exceptions import AirflowFailException\n"
        "import twinbeam\n"
        "try:\n    twinbeam.dag.get_task('validate').execute({})\n"
        "except Exception as error:\n    print('again', not isinstance(error, AirflowFailException), error)\n"
    )
    made = Airflow(
        tmp_path,
        TWINBEAM=f"{sys.executable} {tmp_path / 'note.py'} {notes} {code}",
        PYTHONPATH=str(PROJECT / "dags"),
    )
    done = made("python", "-c", asks)
    assert f"again {tries_again} twinbeam validate ended with {code}" in done.stdout, done.stderr
    assert json.loads(notes.read_text())[0] == "validate"
