"""Every console snippet of the README and of docs/, run in the order of its page, held to the output that it shows."""

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
BY_MAKE = "make "
"""What CI runs itself, around these tests."""


def snippets(page: str) -> list[tuple[str, str]]:
    """(command, what the page shows of its output), in order; `...` stands for any text."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE):
        for command, shown in re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            found.append((command, shown))
    return found


@pytest.fixture
def project(tmp_path: Path, taxi_run: Path) -> Path:
    """What a user has after `make run`: the repository, and a finished run in build/."""
    kept = shutil.ignore_patterns(".*", "build", "dist", "target", "*.egg-info", "__pycache__")
    checkout = Path(shutil.copytree(ROOT, tmp_path / "project", ignore=kept))
    shutil.copytree(taxi_run, checkout / "build")
    return checkout


@pytest.mark.parametrize("page", [page for page in PAGES if snippets(page)])
def test_snippets_do_what_the_page_shows(page: str, project: Path) -> None:
    scripts = Path(sys.executable).parent
    env = os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONPATH": str(project), "COLUMNS": "120"}
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for command, shown in snippets(page):
        if command.startswith(BY_MAKE):
            continue
        done = subprocess.run(
            ["bash", "-c", command.replace("uv run ", "")],
            cwd=project,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        same = doctest.OutputChecker().check_output(shown, done.stdout, flags)
        assert same, f"{page}: $ {command}\nshown:\n{shown}\nprinted:\n{done.stdout}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"


def test_the_readme_names_every_page() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [page for page in PAGES[1:] if f"]({page})" not in readme] == []
