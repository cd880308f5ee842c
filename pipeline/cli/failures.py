"""How a command ends when it fails: one message, one exit code, and a traceback only when it is asked for."""

import contextlib
import json
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.console import Console

from modules.spec import OutputError, TwinbeamError
from pipeline.cli.interrupt import INTERRUPTED
from pipeline.serving.versions import versions

UNEXPECTED = 1

_NO_ROOM = re.compile(
    "No space left on device|File too large|database or disk is full|disk I/O error|Disk quota exceeded"
    "|cannot commit - no transaction is active"  # SQLite has taken it back by itself, and ML Metadata did not look
)


class Failures:
    """Tells of a command's failure in the form that its options ask for."""

    def __init__(
        self, debug: bool = False, as_json: bool = False, output: Path | None = None, serving: Path | None = None
    ) -> None:
        """Notes what is being served before the command does anything.

        Args:
          debug: Whether to show the traceback.
          as_json: Whether the message is to be a JSON object on standard output.
          output: The output directory, if the command writes one.
          serving: The directory of the served model's versions, if the command may push.
        """
        self._debug = debug
        self._as_json = as_json
        self._output = output
        self._serving = serving
        self._before = versions(serving) if serving else []

    def show(self, error: BaseException, out: Console, err: Console, log: Path | None) -> int:
        """Prints the failure and returns its exit code."""
        message, code = self._describe(error)
        if self._debug:
            _print(err, "".join(traceback.format_exception(error)))
        if self._as_json:
            _print(out, json.dumps({"error": message, "exit_code": code}))
            return code
        _print(err, f"error: {message}", style="red")
        if code == UNEXPECTED:
            where = f"The log {log} has more; " if log else ""
            _print(err, f"{where}--debug shows where it happened.")
        return code

    def _describe(self, error: BaseException) -> tuple[str, int]:
        """The message and the exit code.

        A full disk reaches us in as many types as there are libraries, so it is known by its words.
        """
        if isinstance(error, TwinbeamError):
            return str(error), error.exit_code
        if isinstance(error, KeyboardInterrupt):
            return f"interrupted; {self._pushed()}.", INTERRUPTED
        elsewhere = f"{self._pushed()}. Make room, or name another --output DIR."
        if _NO_ROOM.search("".join(traceback.format_exception(error))):
            return f"{self._output}: the disk is full; {elsewhere}", OutputError.exit_code
        if isinstance(error, OSError) and error.filename and self._is_ours(Path(error.filename)):
            return f"{error.filename}: cannot be written: {error.strerror}; {elsewhere}", OutputError.exit_code
        text = str(error).strip()
        return f"unexpected {type(error).__name__}: {text.splitlines()[-1] if text else ''}", UNEXPECTED

    def _is_ours(self, path: Path) -> bool:
        return self._output is not None and path.absolute().is_relative_to(self._output.absolute())

    def _pushed(self) -> str:
        new = sorted(set(versions(self._serving)) - set(self._before)) if self._serving else []
        return f"version {new[-1]} had been pushed already" if new else "nothing was pushed"


@contextlib.contextmanager
def ending(
    failures: Failures, out: Console | None = None, err: Console | None = None, log: Path | None = None
) -> Iterator[None]:
    """Turns an error into its message and exit code."""
    try:
        yield
    except typer.Exit:
        raise
    except (Exception, KeyboardInterrupt) as error:
        code = failures.show(error, out or Console(), err or Console(stderr=True), log)
        raise typer.Exit(code) from None


def _print(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)
