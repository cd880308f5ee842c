"""How a command ends when it fails: one message, one exit code, and a traceback only when it is asked for."""

import json
import re
import traceback
from pathlib import Path

from rich.console import Console

from modules.spec import OutputError, TwinbeamError

INTERRUPTED = 130
UNEXPECTED = 1

_NO_ROOM = re.compile(
    "No space left on device|File too large|database or disk is full|disk I/O error|Disk quota exceeded"
)


def failure(error: BaseException, output: Path | None) -> tuple[str, int]:
    """The message and the exit code for an error.

    A full disk reaches us in as many types as there are libraries, so it is known by its words.
    """
    if isinstance(error, TwinbeamError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; nothing was pushed.", INTERRUPTED
    if _NO_ROOM.search("".join(traceback.format_exception(error))):
        return (
            f"{output}: the disk is full; nothing was pushed. Make room, or name another --output DIR.",
            OutputError.exit_code,
        )
    if isinstance(error, PermissionError):
        return (
            f"{error.filename}: permission denied; nothing was pushed. Name another --output DIR.",
            OutputError.exit_code,
        )
    return (
        f"unexpected {type(error).__name__}: {str(error).strip().splitlines()[-1] if str(error).strip() else ''}",
        UNEXPECTED,
    )


def show(
    error: BaseException, console: Console, output: Path | None, log: Path | None, debug: bool, as_json: bool
) -> int:
    """Prints the failure and returns its exit code."""
    message, code = failure(error, output)
    if debug:
        console.print("".join(traceback.format_exception(error)), highlight=False, markup=False, soft_wrap=True)
    if as_json:
        console.print(json.dumps({"error": message, "exit_code": code}), highlight=False, markup=False, soft_wrap=True)
        return code
    console.print(f"error: {message}", style="red", highlight=False, markup=False, soft_wrap=True)
    if code == UNEXPECTED:
        where = f"The log {log} has more; " if log else ""
        console.print(f"{where}--debug shows where it happened.", highlight=False, markup=False, soft_wrap=True)
    return code
