"""The rows of a request: JSON objects with the dataset's own columns, checked, and as columns."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    create_model,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from modules.live import entities
from modules.spec import Column, Declaration
from pipeline.gateway import times
from pipeline.gateway.refusal import Problem, Refusal, of_fields
from pipeline.ingest.conform import accepted
from pipeline.live.columns import request_columns
from pipeline.live.requests import canonical, unusable

MOST_ROWS = 1_000
"""Rows of one request."""

_INT64 = 2**63
_FLOAT32_LIMIT = float(np.finfo(np.float32).max)
_EXACT = 2**53
_SHOWN = 60


@dataclasses.dataclass(frozen=True)
class Rows:
    """Checked rows."""

    values: Mapping[str, list[Any]]
    """By column, None where a row has no value; int, float, str or bool, of shape (rows,)."""
    types: Mapping[str, pa.DataType]
    """Of the columns."""
    times: Sequence[int | None]
    """In microseconds; None where the clock says it."""

    @cached_property
    def columns(self) -> dict[str, pa.Array]:
        """The values as Arrow arrays; making them takes longer than all else that is done with one row."""
        return {name: pa.array(values, self.types[name]) for name, values in self.values.items()}

    def __len__(self) -> int:
        return len(self.times)

    @classmethod
    def together(cls, parts: Sequence["Rows"]) -> "Rows":
        """The rows of several requests of one declaration, one after the other."""
        if len(parts) == 1:
            return parts[0]
        values = {name: [value for part in parts for value in part.values[name]] for name in parts[0].values}
        return cls(values, parts[0].types, [time for part in parts for time in part.times])


class RowParser:
    """What a declaration's requests may hold."""

    def __init__(self, declaration: Declaration) -> None:
        self._declaration = declaration
        self._entities = entities(declaration)
        needed = {name for entity in self._entities for name in request_columns(entity)}
        self._columns = {
            name: column for name, column in declaration.columns.items() if column.role == "feature" or name in needed
        }
        self._includes_request = any(
            feature.include_request for entity in self._entities for feature in entity.features
        )
        self._types = {name: canonical(column) for name, column in self._columns.items()}
        self._fields = {name: f"f{number}" for number, name in enumerate(self._columns)}
        fields: dict[str, Any] = {self._fields[name]: _field(name, column) for name, column in self._columns.items()}
        if declaration.time is not None:
            fields["time"] = _time_field(declaration.time, declaration.columns[declaration.time])
        config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
        self._row: type[BaseModel] = create_model("Row", __config__=config, **fields)
        requests = Annotated[list[self._row], Field(min_length=1, max_length=MOST_ROWS)]  # type: ignore[name-defined]
        self._body: type[BaseModel] = create_model("PredictRequest", __config__=config, requests=(requests, ...))

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of a body."""
        rows = {"type": "array", "minItems": 1, "maxItems": MOST_ROWS, "items": self._row.model_json_schema()}
        return {
            "type": "object",
            "properties": {"requests": rows},
            "required": ["requests"],
            "additionalProperties": False,
        }

    def parse(self, body: bytes) -> Rows:
        """The rows of a body.

        Raises:
          Refusal: 400 if it is not JSON, 413 if there are too many rows, 422 if one does not fit.
        """
        document = _document(body)
        requests = document.get("requests") if isinstance(document, dict) else None
        if isinstance(requests, list) and len(requests) > MOST_ROWS:
            raise Refusal(
                413, f"{len(requests):,} requests in one body; accepted: at most {MOST_ROWS:,}. Send several."
            )
        if repeated := _repeated(document, requests):
            raise of_fields(repeated)
        try:
            rows: list[Any] = self._body.model_validate(document).requests  # type: ignore[attr-defined]
        except ValidationError as error:
            raise of_fields([self._problem(each) for each in error.errors(include_url=False)]) from None
        given = [row.__dict__ for row in rows]
        values = {name: [row[field] for row in given] for name, field in self._fields.items()}
        has_time = self._declaration.time is not None
        return Rows(values, self._types, [row["time"] for row in given] if has_time else [None] * len(rows))

    def check_included(self, rows: Rows, at: np.ndarray) -> None:
        """Checks what features with `include_request` take in of the rows, as of times in microseconds.

        Raises:
          Refusal: 422.
        """
        if not self._includes_request:
            return
        problems = [
            Problem(row, name, f"read {_shown(rows.values[name][row])}; accepted: {rule}.")
            for entity in self._entities
            for name, rule, bad in unusable(entity, rows.columns, at)
            for row in np.flatnonzero(bad).tolist()
        ]
        if problems:
            raise of_fields(problems)

    def _problem(self, error: ErrorDetails) -> Problem:
        where = error["loc"]
        row = where[1] if len(where) > 1 and isinstance(where[1], int) else None
        field = (
            _printable(str(where[2]))
            if len(where) > 2
            else None
            if row is not None
            else _printable(str(where[0]))
            if where
            else None
        )
        return Problem(row, field, self._message(error, field if len(where) > 2 else None))

    @staticmethod
    def _outside(error: ErrorDetails, read: str) -> str:
        """The message about what is around the fields."""
        if error["type"] == "string_unicode":
            return "a field's name is not UTF-8 text; accepted: the names of columns."
        if error["type"] == "extra_forbidden":
            return "unknown field; accepted: only requests."
        if not error["loc"]:
            return f'{read}; accepted: {{"requests": [{{"fare": 12.5, ...}}, ...]}}.'
        row = len(error["loc"]) > 1
        return (
            f"{read}; accepted: {'an object with the columns' if row else f'an array of 1 to {MOST_ROWS:,} objects'}."
        )

    def _message(self, error: ErrorDetails, name: str | None) -> str:
        read = "missing" if error["type"] == "missing" else f"read {_shown(error['input'])}"
        if name is None:
            return self._outside(error, read)
        if error["type"] == "extra_forbidden":
            if name in self._declaration.live_features:
                return "a live feature is not accepted in a request: it is looked up. Leave it out."
            names = [*self._columns, *([self._declaration.time] if self._declaration.time else [])]
            return f"unknown field; accepted: {', '.join(names)}."
        if name == self._declaration.time:
            return f"{read}; accepted: {times.accepted(self._declaration.columns[name])}."
        column = self._columns[name]
        null = ", or null" if _may_be_null(column) else ""
        return f"{read}; accepted: {_words(column)}{null}."


def parse_key(texts: Sequence[str], names: Sequence[str], declaration: Declaration) -> dict[str, int | str | bool]:
    """The values of an entity's key.

    Args:
      texts: One for each column, as they are written in a URL.
      names: The key's columns.
      declaration: What says their types.

    Raises:
      Refusal: 422.
    """
    values: dict[str, int | str | bool] = {}
    problems = []
    if len(texts) != len(names):
        message = f"read {len(texts)} values; accepted: {len(names)}, of {', '.join(names)}, with commas between."
        raise of_fields([Problem(None, "key", message)])
    for text, name in zip(texts, names, strict=True):
        column = declaration.columns[name]
        value = _value(text, column)
        if value is None:
            problems.append(Problem(None, name, f"read {_shown(text)}; accepted: {_words(column)}."))
        else:
            values[name] = value
    if problems:
        raise of_fields(problems)
    return values


def _value(text: str, column: Column) -> int | str | bool | None:
    if column.type == "string":
        return text
    if column.type == "bool":
        return {"true": True, "false": False}.get(text)
    try:
        value = int(text) if text.isascii() and text.removeprefix("-").isdigit() else None
    except ValueError:  # thousands of digits
        return None
    return value if value is not None and -_INT64 <= value < _INT64 else None


def _document(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise Refusal(400, f"The body is not UTF-8 text at byte {error.start}. Send JSON in UTF-8.") from None
    except json.JSONDecodeError as error:
        raise Refusal(400, f"The body is not JSON at character {error.pos}: {error.msg}.") from None
    except RecursionError:
        raise Refusal(400, "The body is nested too deeply. Send flat objects.") from None
    except ValueError:  # a number of thousands of digits
        raise Refusal(400, "The body has a number of thousands of digits. Send fewer.") from None


class _Repeated(dict[str, Any]):
    """A JSON object in which a name is given twice."""

    name: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated = _Repeated(found)
    names = [name for name, _ in pairs]
    repeated.name = next(name for name in names if names.count(name) > 1)
    return repeated


def _repeated(document: Any, requests: Any) -> list[Problem]:
    rows = enumerate(requests) if isinstance(requests, list) else ()
    places: list[tuple[int | None, Any]] = [(None, document), *rows]
    return [
        Problem(row, _printable(found.name), "is given twice. Keep one.")
        for row, found in places
        if isinstance(found, _Repeated)
    ]


def _may_be_null(column: Column) -> bool:
    return column.optional or column.role == "key"


def _field(name: str, column: Column) -> tuple[Any, Any]:
    """The type of a column in a row, and its field."""
    limit = _FLOAT32_LIMIT if column.becomes_float32 else None
    kinds: dict[str, Any] = {
        "int": Annotated[int, Field(ge=-_INT64, le=_INT64 - 1), BeforeValidator(_whole)],
        "float": Annotated[float, Field(ge=limit and -limit, le=limit), BeforeValidator(_number)],
        "string": Annotated[str, AfterValidator(_text)],
        "bool": bool,
    }
    kind = kinds[column.type]
    if _may_be_null(column):
        kind = kind | None
    description = f"{_words(column)}; {column.role}"
    return kind, Field(None if column.optional else ..., alias=name, description=description)


def _time_field(name: str, column: Column) -> tuple[Any, Any]:
    def parsed(value: Any) -> int | None:
        if value is None:
            return None
        if (micros := times.parse(value, column)) is None:
            raise PydanticCustomError("time", "a time")
        return micros

    return Annotated[int | None, BeforeValidator(parsed), WithJsonSchema(time_schema(column))], Field(
        None, alias=name, description="The request's time; without it the clock's."
    )


def time_schema(column: Column) -> dict[str, Any]:
    """The JSON schema of a time, which may be null."""
    kinds: list[dict[str, Any]] = [{"type": "string", "format": "date-time"}, {"type": "null"}]
    if column.unit:
        per_unit = {"s": 1_000_000, "ms": 1_000, "us": 1}[column.unit]
        first, last = times.FIRST_MICRO // per_unit, times.LAST_MICRO // per_unit
        kinds.insert(0, {"type": "integer", "minimum": first, "maximum": last})
    return {"anyOf": kinds}


def _whole(value: Any) -> Any:
    """A float that is whole and exact as an int; JSON knows no difference."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else value


def _number(value: Any) -> Any:
    """An int as the nearest float, if there is one."""
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return float("inf")
    return value


def _text(value: str) -> str:
    if not value.isascii() and value.encode(errors="ignore").decode() != value:
        raise PydanticCustomError("lone_surrogate", "half a character")
    return value


def _words(column: Column) -> str:
    return "true or false" if column.type == "bool" else accepted(column)


def _shown(value: Any) -> str:
    """A value as JSON, short, and in ASCII."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "an array"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _printable(name: str) -> str:
    """A name from a request, short, and as UTF-8 can say it."""
    name = name.encode(errors="replace").decode()
    return name if len(name) <= _SHOWN else name[: _SHOWN - 3] + "..."
