"""A small dataset of real trips with a declaration and a curated schema of its own, to run the whole pipeline on."""

import csv
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from pipeline.ingest.files import find_files
from tests.conftest import ROOT, Run
from tests.pipeline.cli.in_process import call

DATASET = Path(__file__).parent / "dataset"
COLUMNS = ("trip_start_timestamp", "fare", "trip_seconds", "payment_type", "tips")

Row = dict[str, str]


def real_trips(rows: int = 600) -> list[Row]:
    """The first rows of the taxi trips that TFX ships, in our columns; every tenth without its seconds."""
    [file] = find_files("package:tfx/examples/chicago_taxi_pipeline/data/simple/data.csv")
    with open(file.path, newline="") as lines:
        reader = csv.DictReader(lines)
        trips = [{name: row[name] for name in COLUMNS} for row, _ in zip(reader, range(rows), strict=False)]
    return [trip | {"trip_seconds": ""} if number % 10 == 0 else trip for number, trip in enumerate(trips)]


def write_csv(rows: list[Row], path: Path, delimiter: str = ",") -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


@dataclasses.dataclass(frozen=True)
class Trips:
    """features.yaml, schema.pbtxt and trips.csv in one directory, and the output directory of its runs."""

    directory: Path
    output: Path

    @classmethod
    def make(cls, directory: Path) -> Self:
        shutil.copytree(DATASET, directory, dirs_exist_ok=True)
        write_csv(real_trips(), directory / "trips.csv")
        return cls.at(directory)

    @classmethod
    def at(cls, directory: Path) -> Self:
        """Those that were made there."""
        return cls(directory, directory / "build")

    @property
    def features(self) -> Path:
        return self.directory / "features.yaml"

    @property
    def schema(self) -> Path:
        return self.directory / "schema.pbtxt"

    @property
    def data(self) -> Path:
        return self.directory / "trips.csv"

    @property
    def serving(self) -> Path:
        return self.output / "serving_model" / "trips"

    def pushed(self) -> dict[str, bytes]:
        """What callers and readers of a finished run can see."""
        seen = {f"serving_model/{name}": content for name, content in tree(self.output / "serving_model").items()}
        paths = [self.output / "report.html", self.output / "last_run.json"]
        return seen | {path.name: path.read_bytes() for path in paths if path.exists()}

    def edit(self, line: int, **values: str) -> None:
        """Changes fields of one row of the data; rows are counted from 1."""
        rows = read_csv(self.data)
        rows[line - 1] |= values
        write_csv(rows, self.data)

    def edit_all(self, **values: str) -> None:
        """Changes fields of every row of the data."""
        write_csv([row | values for row in read_csv(self.data)], self.data)

    def arguments(self, command: str, *more: str | Path) -> list[str]:
        """The command on this dataset; what comes later on the line wins."""
        where = ["--features", self.features]
        output = ["--output", self.output] if command != "validate" else []
        data = ["--data", self.data] if command in ("run", "schema accept") else []
        return [str(argument) for argument in (*command.split(), *where, *output, *data, *more)]

    def call(self, command: str, *more: str | Path) -> Run:
        """Runs the command in this process."""
        return call(*self.arguments(command, *more))

    def start(self, command: str, *more: str | Path, root: Path = ROOT, **options: Any) -> "subprocess.Popen[str]":
        """Starts the command in a process of its own, which no signal to ours reaches.

        Args:
          command: Its name.
          more: Further arguments.
          root: The checkout whose code it runs.
          options: Of `subprocess.Popen`.
        """
        defaults: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = options.pop("env", os.environ) | {"PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
        line = [sys.executable, "-m", "pipeline.cli.main", *self.arguments(command, *more)]
        return subprocess.Popen(line, cwd=root, env=environment, text=True, **(defaults | options))


def read_csv(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def tree(directory: Path) -> dict[str, bytes]:
    """Every file below a directory, hidden ones too, with its content; a directory has none."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else b"" for path in directory.rglob("*")
    }


def wait_for(process: "subprocess.Popen[str]", words: str) -> list[str]:
    """Reads the process's output up to the first line with these words; the lines read."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"{words!r} never came: {lines}")


def finish(process: "subprocess.Popen[str]", stop: signal.Signals | None = None) -> Run:
    """Waits for the end of a process, after sending it a signal if one is given."""
    if stop is not None:
        process.send_signal(stop)
    out, err = process.communicate(timeout=300)
    return Run(process.returncode, out, err)
