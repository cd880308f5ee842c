"""JSON as TensorFlow Serving reads and writes it: its words for what is wrong, and its form of numbers."""

import base64
import binascii
import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from pipeline.serving.model_server.status import InvalidArgument
from pipeline.serving.model_server.tensors import Array

_PARSE_ERRORS = {
    "Expecting value": "Invalid value.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid control character at": "Invalid encoding in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
    "Invalid \\escape": "Invalid escape character in string.",
}
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[\[\]{}]', re.DOTALL)
_BLANK = re.compile(r"[ \t\n\r]*")
_LONGEST_SHOWN = 256
_INDENT = 4


def parse_object(body: bytes) -> dict[str, Any]:
    """The object of a request. What follows it is not looked at.

    Raises:
      InvalidArgument: The body is not JSON, or no object.
    """
    if not body:
        raise InvalidArgument("JSON Parse error: The document is empty")
    text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    start = _BLANK.match(text)
    assert start is not None
    if start.end() == len(text):
        raise InvalidArgument("JSON Parse error: The document is empty. at offset: " + str(len(body)))
    try:
        document, _ = json.JSONDecoder().raw_decode(text, start.end())
    except json.JSONDecodeError as error:
        said = _PARSE_ERRORS.get(error.msg.removesuffix(": "), "") or _missing_comma(text[: error.pos])
        offset = len(text[: error.pos].encode("utf-8", "surrogateescape"))
        raise InvalidArgument(f"JSON Parse error: {said} at offset: {offset}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; thousands of brackets
        raise InvalidArgument(f"JSON Parse error: {error}") from None
    if not isinstance(document, dict):
        raise InvalidArgument(f"JSON Value: {shown(document)} Is not object")
    return document


def _missing_comma(before: str) -> str:
    """The innermost bracket that is open says what misses its comma."""
    opened = []
    for each in _TOKEN.findall(before):
        if each in "[{":
            opened.append(each)
        elif each in "]}" and opened:
            opened.pop()
    if opened and opened[-1] == "{":
        return "Missing a comma or } after an object member."
    return "Missing a comma or ] after an array element."


def shown(value: Any) -> str:
    """A value as error messages show it, not much more than 256 characters."""
    text = _shown(value, 0)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN]


def _shown(value: Any, level: int) -> str:
    if isinstance(value, dict):
        return members([(name, _shown(each, level + 1)) for name, each in list(value.items())[:_LONGEST_SHOWN]], level)
    if isinstance(value, list):
        return f"[{', '.join(_shown(each, level) for each in value[:_LONGEST_SHOWN])}]"
    return json.dumps(value, ensure_ascii=False)


def type_name(value: Any) -> str:
    """What the JSON reader calls the type."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    names: dict[type, str] = {dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")


def is_base64(value: Any) -> bool:
    """Whether it stands for bytes: an object with nothing but a text `b64`."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def from_base64(value: dict[str, str]) -> bytes:
    """The bytes of such an object."""
    text = value["b64"]
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument("Unable to base64 decode") from None


def to_bytes(text: str) -> bytes:
    """A JSON string's UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidArgument("JSON Parse error: The surrogate pair in string is invalid.") from None


def unicode(text: str) -> str:
    """The text, which must be UTF-8: a name in a message."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidArgument("JSON Parse error: Invalid encoding in string.") from None
    return text


def string(value: bytes) -> str:
    """A JSON string of the text; what is not UTF-8 goes through as it is."""
    return json.dumps(value.decode("utf-8", "surrogateescape"), ensure_ascii=False)


def base64_object(value: bytes, level: int) -> str:
    """The object that stands for the bytes."""
    return members([("b64", json.dumps(base64.b64encode(value).decode()))], level)


def floats(values: Array) -> list[str]:
    """Numbers of float32 or float64, in one dimension: six digits if they suffice, else as many as it takes.

    A whole number has `.0`; NaN, Infinity and -Infinity are written so.
    """
    numbers = values.tolist()
    texts = [f"{number:g}" for number in numbers]
    digits = 9 if values.dtype == np.float32 else 17
    same = np.array(texts, np.float64).astype(values.dtype) == values
    return [
        _pointed(text if fits else f"{number:.{digits}g}")
        for text, number, fits in zip(texts, numbers, same.tolist(), strict=True)
    ]


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _pointed(text: str) -> str:
    if "." in text or "e" in text:
        return text
    return _NOT_FINITE.get(text) or text + ".0"


def members(pairs: Iterable[tuple[str, str]], level: int) -> str:
    """An object of names and JSON, indented for its level."""
    inside = ",".join(
        f"\n{' ' * _INDENT * (level + 1)}{json.dumps(name, ensure_ascii=False)}: {text}" for name, text in pairs
    )
    return f"{{{inside}\n{' ' * _INDENT * level}}}" if inside else "{}"


def lines(items: list[str], level: int) -> str:
    """An array with an item a line, indented for its level."""
    inside = ",".join(f"\n{' ' * _INDENT * (level + 1)}{item}" for item in items)
    return f"[{inside}\n{' ' * _INDENT * level}]" if items else "[]"


def error(message: str) -> bytes:
    """The body of a failed request."""
    return members([("error", json.dumps(message, ensure_ascii=False))], 0).encode("utf-8", "replace")
