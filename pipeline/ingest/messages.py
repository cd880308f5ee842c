"""JSON messages to columns and back.

What a message becomes does not depend on the messages polled with it. Where all of them have the declared JSON types,
Arrow reads them at once; else every value becomes text, as it was written, and casting text to the declared type gives
what casting the value would have given. So no number loses a digit in either case.
"""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from modules.spec import Typed

_BLANKS = b" \t\r\n"


def read_messages(
    payloads: Sequence[bytes], columns: Mapping[str, Typed], others: set[str] | None = None
) -> tuple[pa.RecordBatch, np.ndarray, list[tuple[int, str]]]:
    """Splits messages, each one JSON object in UTF-8, into the declared columns.

    A key that is not declared is ignored, with all that it holds. A declared column that a message leaves out is null.

    Args:
      payloads: The messages.
      columns: The declared columns.
      others: Keys that are not declared are added here.

    Returns:
      The columns as written, a row a good message; the indexes of the good messages, int64, ascending; and the index of
      each other message, ascending, with what is wrong with it.
    """
    rows = _read_typed(payloads, columns, others)
    if rows is not None:
        return rows, np.arange(len(payloads)), []
    values: dict[str, list[str | None]] = {name: [] for name in columns}
    good: list[int] = []
    broken: list[tuple[int, str]] = []
    for index, payload in enumerate(payloads):
        try:
            row = _read_one(payload, columns, others)
        except ValueError as error:
            broken.append((index, str(error)))
            continue
        good.append(index)
        for name, column in values.items():
            column.append(row.get(name))
    arrays = [pa.array(column, pa.string()) for column in values.values()]
    return pa.RecordBatch.from_arrays(arrays, names=list(values)), np.array(good, np.int64), broken


def keys_in(payloads: Sequence[bytes], rows: pa.RecordBatch) -> list[str]:
    """The columns, read from messages, that some of these have; one of nulls is looked for by its name in quotes."""
    text = b"".join(payloads)
    return [
        name
        for name, values in zip(rows.schema.names, rows.columns, strict=True)
        if values.null_count < len(values) or json.dumps(name, ensure_ascii=False).encode() in text
    ]


def _read_typed(
    payloads: Sequence[bytes], columns: Mapping[str, Typed], others: set[str] | None
) -> pa.RecordBatch | None:
    """All messages at once; None unless each has the declared JSON types, or if it takes a closer look to say so."""
    trimmed = [payload.strip(_BLANKS) for payload in payloads]
    # An object that is not closed could swallow the next message; after `}` and a line break no `{` may stand in one.
    if not all(payload.startswith(b"{") and payload.endswith(b"}") for payload in trimmed):
        return None
    schema = pa.schema([(name, _json_type(typed)) for name, typed in columns.items()])
    if not trimmed:
        return pa.RecordBatch.from_pylist([], schema)
    lines = b"\n".join(trimmed)
    try:
        lines.decode()  # Arrow does not look at the text that it skips
        table = pyarrow.json.read_json(
            io.BytesIO(lines),
            pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
            pyarrow.json.ParseOptions(schema, unexpected_field_behavior="ignore" if others is None else "infer"),
        )
    except (UnicodeDecodeError, pa.ArrowInvalid):
        return None
    if len(table) != len(trimmed):
        return None
    if others is not None:
        others |= set(table.column_names) - columns.keys()
        table = table.select(list(columns))
    for column in table.columns:
        if pa.types.is_floating(column.type) and pc.any(pc.invert(pc.is_finite(column))).as_py():
            return None  # NaN is not JSON, but Arrow reads it
    return table.combine_chunks().to_batches()[0]


def _json_type(typed: Typed) -> pa.DataType:
    """What a value of the declared type usually is in JSON."""
    if typed.type == "timestamp":
        return pa.int64() if typed.unit else pa.string()
    return {"int": pa.int64(), "float": pa.float64(), "string": pa.string(), "bool": pa.bool_()}[typed.type]


def _read_one(payload: bytes, columns: Mapping[str, Typed], others: set[str] | None) -> dict[str, str | None]:
    """The declared columns of one message as text. Raises ValueError saying what is wrong with it."""
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte {error.start + 1} is 0x{payload[error.start]:02x}") from None
    try:
        # Numbers stay as they are written; of nested objects only the outermost is looked at.
        pairs = json.loads(
            text, parse_int=_Number, parse_float=_Number, parse_constant=_NotANumber, object_pairs_hook=_Object
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError("not JSON that can be read: nested too deeply") from None
    if not isinstance(pairs, _Object):
        raise ValueError("JSON, but not an object")
    row: dict[str, str | None] = {}
    for name, value in pairs.pairs:
        if name not in columns:
            if others is not None:
                others.add(name)
            continue
        if name in row:
            raise ValueError(f"the key {name} is there twice")
        row[name] = _as_text(name, value)
    return row


class _Number(str):
    """A number, as it was written."""


class _NotANumber(str):
    """NaN, Infinity or -Infinity, which Python reads and JSON does not have."""


class _Object:
    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


def _as_text(name: str, value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, _Object | list):
        raise ValueError(f"the key {name} holds {'a list' if isinstance(value, list) else 'an object'}, not one value")
    if isinstance(value, _NotANumber):
        raise ValueError(f"not JSON: the key {name} holds {value}")
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the key {name} holds half a surrogate pair, which is no character") from None
    return text


def write_messages(rows: pa.RecordBatch) -> list[bytes]:
    """Each row as one JSON message, from which `read_messages` reads the same values; nulls are left out."""
    texts = [_json_values(column) for column in rows.columns]
    names = [json.dumps(name, ensure_ascii=False) for name in rows.schema.names]
    return [
        ("{" + ", ".join(f"{name}: {text}" for name, text in zip(names, row, strict=True) if text is not None) + "}")
        .encode()
        for row in zip(*texts, strict=True)
    ]  # fmt: skip


def _json_values(column: pa.Array) -> list[str | None]:
    """The values of a column as JSON; numbers and booleans as such, all else as text."""
    values = as_text(column)
    bare = pa.types.is_integer(column.type) or pa.types.is_boolean(column.type) or pa.types.is_floating(column.type)
    return [
        None if value is None else value if bare and value not in _NO_JSON else json.dumps(value, ensure_ascii=False)
        for value in values.to_pylist()
    ]


_NO_JSON = {"inf", "-inf"}


def as_text(column: pa.Array) -> pa.Array:
    """A column as text that means the same, whatever the declared type; NaN is null, as `conform` has it."""
    if pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), None, column)
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        below = pc.fill_null(column.cast(pa.int64()), 0).to_numpy() // 1000  # a cast would round towards 1970
        column = pc.if_else(column.is_valid(), pa.array(below), None).cast(pa.timestamp("us", column.type.tz))
    return column.cast(pa.string())
