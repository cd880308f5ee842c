"""One value of a live feature as a command line names it: FEATURE KEY TIME."""

import re
import shlex
from collections.abc import Mapping, Sequence

import pyarrow as pa

from modules.kernel.keys import Value
from modules.spec import Declaration, InputError, Typed
from modules.spec.instant import written_instant
from pipeline.ingest.conform import accepted, conform
from pipeline.jobs.explain import asked_columns

_EMPTY = '""'


def command(feature: str, request: Mapping[str, Value | float | None], time: int) -> str:
    """The line that explains a value, to be copied into a shell.

    Args:
      feature: Its name.
      request: The values of the columns that it is computed from.
      time: The request's, in microseconds.
    """
    key = [f"{name}={_written(value)}" for name, value in request.items()]
    return shlex.join(["twinbeam", "explain", feature, *key, written_instant(time)])


def read_request(declaration: Declaration, feature: str, given: Sequence[str]) -> dict[str, Value | float | None]:
    """What `command` has written, or a person: `column=value`, several columns each on its own or with commas.

    A value is read as in a CSV file: nothing is null, two quotes are an empty text.

    Raises:
      InputError: A column is missing, there twice or not asked for, or its value is not of its type.
    """
    types = asked_columns(declaration, feature)
    names = "|".join(map(re.escape, types))
    parts = re.split(f",(?=(?:{names})=)", given[0]) if len(given) == 1 else given
    found: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals or name not in types:
            raise InputError(f"KEY {part}: accepted: {_form(types)}.")
        if name in found:
            raise InputError(f"KEY: {name} is there twice. Leave one.")
        found[name] = value
    if missing := [name for name in types if name not in found]:
        raise InputError(f"KEY: {', '.join(missing)} is missing; accepted: {_form(types)}.")
    return {name: _read(name, typed, found[name]) for name, typed in types.items()}


def _form(types: Mapping[str, Typed]) -> str:
    return " ".join(f"{name}={typed.type.upper()}" for name, typed in types.items())


def _read(name: str, typed: Typed, text: str) -> Value | float | None:
    as_read = {"": None, _EMPTY: ""}.get(text, text)
    values, bad = conform(pa.array([as_read], pa.string()), typed, name)
    if bad[0]:
        raise InputError(f"KEY {name}={text}: accepted: {accepted(typed)}.")
    return values[0].as_py()


def _written(value: Value | float | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else _EMPTY if value == "" else str(value)
