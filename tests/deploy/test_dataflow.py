"""What docs/dataflow.md and `deploy/dataflow/` say of our commands, the settings and the image."""

import re
import shutil
import subprocess
from importlib.metadata import version
from typing import Any

import pytest
import typer

from pipeline.cli.main import app
from pipeline.engines.dataflow import DataflowSettings, load_settings
from tests.conftest import ROOT
from tests.deploy.deployed import DEPLOY, shell_words

PAGE = ROOT / "docs" / "dataflow.md"
OURS = [words[3:] for words in shell_words(PAGE) if words[:3] == ["uv", "run", "twinbeam"]]


def test_the_page_has_commands() -> None:
    assert len(OURS) >= 5


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_our_commands_take_what_the_page_gives_them(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    if ">" in words:
        words = words[: words.index(">")]
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    given = command.make_context("", list(words)).params
    assert given.get("runner", "dataflow") == "dataflow"


def test_the_example_is_accepted_and_the_page_names_every_field() -> None:
    load_settings(DEPLOY / "dataflow" / "dataflow.example.yaml")
    named = set(re.findall("`([a-z_]+)`", PAGE.read_text().partition("## Settings")[2].partition("\n## ")[0]))
    assert set(DataflowSettings.model_fields) - named == {"endpoint"}  # which is for tests


def test_the_image_has_the_locks_beam_and_what_it_copies() -> None:
    dockerfile = (DEPLOY / "dataflow" / "Dockerfile").read_text()
    assert f"ARG BEAM={version('apache-beam')}\n" in dockerfile
    copied = re.findall("^COPY (?!--from)(.*) [^ ]+$", dockerfile, re.MULTILINE)
    sources = [word for line in copied for word in line.split()]
    assert {"pyproject.toml", "uv.lock", "modules", "pipeline", "schema", "deploy/dataflow/launch.py"} <= set(sources)
    assert [source for source in sources if not (ROOT / source).exists()] == []
    ignore = (DEPLOY / "dataflow" / "Dockerfile.dockerignore").read_text()
    kept = set(re.findall("^!(.*)$", ignore, re.MULTILINE))
    assert set(sources) == kept


def test_the_streaming_group_of_the_lock_has_no_tensorflow() -> None:
    uv = shutil.which("uv") or shutil.which("uv", path=ROOT / ".uv" / "bin")
    if uv is None:
        pytest.skip("uv is not installed")
    command = [uv, "export", "--locked", "--offline", "--only-group", "streaming", "--no-hashes", "--no-emit-project"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    names = {line.partition("==")[0].partition("[")[0] for line in done.stdout.splitlines() if "==" in line}
    assert {"apache-beam", "redis", "google-cloud-bigtable", "pyarrow"} <= names
    assert {name for name in names if name.startswith(("tensorflow", "tfx", "keras", "ml-metadata"))} == set()
