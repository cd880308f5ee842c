"""Calls the command in this process, where TFX, once imported, stays imported."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from pipeline.cli.main import app
from tests.conftest import Run


def call(*arguments: str | Path) -> Run:
    """The command with these arguments; what it wrote to file descriptors 1 and 2 is what a shell would show."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        with (
            _descriptor(1, out.fileno()) as stdout,
            _descriptor(2, err.fileno()) as stderr,
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
        ):
            try:
                app([str(argument) for argument in arguments], prog_name="twinbeam")
                exit_code = 0
            except SystemExit as ended:
                exit_code = int(ended.code or 0)
        out.seek(0)
        err.seek(0)
        return Run(exit_code, out.read(), err.read())


@contextlib.contextmanager
def _descriptor(number: int, file: int) -> Iterator[TextIO]:
    kept = os.dup(number)
    os.dup2(file, number)
    try:
        with open(number, "w", closefd=False, encoding="utf-8") as stream:
            yield stream
    finally:
        os.dup2(kept, number)
        os.close(kept)
