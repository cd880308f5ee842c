"""A dataset to start everything on: rides with keys that a page and a URL must escape, and a model of them."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from modules.spec import Declaration, load_declaration
from tests.conftest import ROOT
from tests.pipeline.gateway.models import export
from tests.pipeline.live.rides import DECLARATION, payments, rides, write

COUNT = 600


def area(number: int) -> str:
    """The name of an area."""
    return f"a,{number}/<i> & 100%"


@dataclasses.dataclass(frozen=True)
class City:
    """The declaration, the rides and their payments, and the output directory of a run."""

    directory: Path

    @classmethod
    def make(cls, directory: Path) -> Self:
        """With the small model pushed as version 1."""
        text = DECLARATION.replace("lookback: 1m", "lookback: 1d").replace("rides.jsonl", f"{directory}/rides.jsonl")
        text = text.replace("payments.jsonl", f"{directory}/payments.jsonl")
        amount = "amount: {type: float, role: feature, transform: {name: scale}}\n"
        seats = "  seats: {type: int, role: feature, transform: {name: scale}, missing: mean}\n"
        text = text.replace(amount, amount + seats)
        city = cls(directory)
        city.features.write_text(text)
        events = rides(COUNT)
        for number, ride in enumerate(events):
            ride |= {"area": area(ride["rider"] % 7), "good": number % 2, "seats": 4 if number % 3 else None}
        write(directory / "rides.jsonl", events)
        write(directory / "payments.jsonl", payments(events))
        export(city.declaration, city.output / "serving_model" / "rides", 1)
        return city

    @property
    def features(self) -> Path:
        """The declaration's file."""
        return self.directory / "features.yaml"

    @property
    def declaration(self) -> Declaration:
        """What is in it."""
        return load_declaration(self.features, [])

    @property
    def output(self) -> Path:
        """Where the model is."""
        return self.directory / "build"

    @property
    def store(self) -> str:
        """A store that several starts share."""
        return f"sqlite://{self.directory}/shared.db"

    def up(self, *more: str | Path, **options: Any) -> "subprocess.Popen[str]":
        """Starts everything, with the page on a free port."""
        line = [sys.executable, "-m", "pipeline.cli.main", "up", "--features", self.features, "--output", self.output,
                "--port", "0", *more]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}", "COLUMNS": "200"}
        return subprocess.Popen(
            list(map(str, line)),
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **options,
        )
