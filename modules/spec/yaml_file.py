"""From a YAML file and overrides to a checked declaration, or another model; an error names file, line and field."""

import dataclasses
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from modules.spec.declaration import Declaration
from modules.spec.errors import DeclarationError
from modules.spec.field_error import FieldError
from modules.spec.transforms import TRANSFORM_NAMES

Location = tuple[str | int, ...]
_Model = TypeVar("_Model", bound=BaseModel)


@dataclasses.dataclass(frozen=True)
class FileKind(Generic[_Model]):
    """What a file may hold, and what errors call it."""

    model: type[_Model]
    name: str
    """`declaration`."""
    option: str
    """What names the file on a command line: `--features`."""
    overriding: str
    """What overrides a field there: `--set`."""
    example: str
    """`FIELD=VALUE`, for example."""


_DECLARATION = FileKind(Declaration, "declaration", "--features", "--set", "training.steps=200")

_YAML_WORDS = {"dict_type": "a mapping", "tuple_type": "a list", "string_type": "text (put quotes around it)"}
"""What pydantic calls otherwise."""

_CREDENTIALS = re.compile('(?<=://)[^"]*(?=@)')
_NOTHING = object()
"""Stands for a field that is not given."""

_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """YAML without its surprises: true and false are the only booleans, numbers are decimal, and no tag is accepted.

    Dates, yes, 010, 0x10, 1_000 and 1:30 stay text; 1e-3 is a number.
    """

    def fetch_tag(self) -> None:
        raise yaml.MarkedYAMLError(problem="a tag with ! is not accepted; leave it out", problem_mark=self.get_mark())


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.removeprefix(_TAG) in ("null", "merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_INTEGER = "[-+]?(0|[1-9][0-9]{0,99})"
_FLOAT = r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?"
_Loader.add_implicit_resolver(_TAG + "bool", re.compile(r"(true|false)\Z"), list("tf"))
_Loader.add_implicit_resolver(_TAG + "int", re.compile(_INTEGER + r"\Z"), list("-+0123456789"))
_Loader.add_implicit_resolver(_TAG + "float", re.compile(_FLOAT + r"\Z"), list("-+.0123456789"))


def load_declaration(path: Path, overrides: Iterable[str] = ()) -> Declaration:
    """Reads and checks a declaration.

    Args:
      path: A YAML file.
      overrides: `field.of.the.declaration=value` each, the value in YAML; they win over the file.

    Raises:
      DeclarationError: The file cannot be read, is not YAML, or says something that is not accepted.
    """
    return load_file(_DECLARATION, path, overrides)


def load_file(kind: FileKind[_Model], path: Path, overrides: Iterable[str] = ()) -> _Model:
    """As `load_declaration`, of any kind of file."""
    data, lines = _read(path, kind)
    origins = {location: f"{path}:{line}" for location, line in lines.items()}
    for override in overrides:
        _apply(override, data, origins, kind)
    try:
        return kind.model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise DeclarationError(_describe(error.errors(include_url=False), data, origins, kind)) from None


def _read(path: Path, kind: FileKind[Any]) -> tuple[dict[str, Any], dict[Location, int]]:
    """The fields of a file, and the line of each."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DeclarationError(f"{path}: no such file. Name a {kind.name} with {kind.option} FILE.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError(f"{path}: cannot be read as UTF-8 text: {error}.") from None
    try:
        data, lines = _parse(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DeclarationError(f"{path}:{line}: not YAML: {error.problem}.") from None
    except yaml.YAMLError as error:
        raise DeclarationError(f"{path}: not YAML: {error}.") from None
    if not isinstance(data, dict):
        first = next(iter(kind.model.model_fields))
        raise DeclarationError(f"{path}:1: read no fields; accepted: a mapping that starts with {first}: NAME.")
    return data, lines


def _parse(text: str) -> tuple[Any, dict[Location, int]]:
    """What YAML text says, in the types of JSON, and the line of every field.

    Raises:
      yaml.YAMLError: It is not YAML, gives a field twice, or is nested too deeply.
    """
    lines: dict[Location, int] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, lines
        _walk(node, (), lines)
        return json.loads(json.dumps(loader.construct_document(node))), lines  # what an anchor shares becomes copies
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None


def _walk(node: yaml.Node, location: Location, lines: dict[Location, int]) -> None:
    """Notes the line of every field, makes every name text, and refuses a field that is given twice."""
    lines.setdefault(location, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a field's name is not text", problem_mark=key.start_mark)
            if key.tag != _TAG + "merge":
                key.tag = _TAG + "str"
            inner = (*location, key.value)
            if inner in lines:
                raise yaml.MarkedYAMLError(
                    problem=f"{'.'.join(map(str, inner))} is given twice, first on line {lines[inner]}; keep one",
                    problem_mark=key.start_mark,
                )
            lines[inner] = key.start_mark.line + 1
            _walk(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*location, index), lines)


def _apply(override: str, data: dict[str, Any], origins: dict[Location, str], kind: FileKind[Any]) -> None:
    """Puts an override into the data, and its option as the origin of what it gives."""
    field, equals, text = override.partition("=")
    names = tuple(field.split("."))
    if not equals or not all(names):
        raise DeclarationError(
            f"{kind.overriding} {override}: accepted: FIELD=VALUE, such as {kind.overriding} {kind.example}."
        )
    try:
        value, _ = _parse(text)
    except yaml.YAMLError as error:
        problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
        raise DeclarationError(f"{kind.overriding} {override}: not YAML: {problem}; put quotes around text.") from None
    at = data
    for depth, name in enumerate(names[:-1]):
        if at.get(name) is None:
            at[name] = {}
        at = at[name]
        if not isinstance(at, dict):
            raise DeclarationError(
                f"{kind.overriding} {override}: {'.'.join(names[: depth + 1])} is a value and has no fields."
            )
    at[names[-1]] = value
    for location in [location for location in origins if location[: len(names)] == names]:
        del origins[location]
    for depth in range(len(names)):
        origins.setdefault(names[: depth + 1], kind.overriding)


def _describe(errors: list[ErrorDetails], data: Any, origins: dict[Location, str], file: FileKind[Any]) -> str:
    """A line a field: `file:line: field: read X; accepted: Y`."""
    accepted: dict[tuple[str, str, str], list[str]] = {}
    for detail in errors:
        location, value = _locate(detail["loc"], data)
        cause = detail.get("ctx", {}).get("error")
        for step in cause.location if isinstance(cause, FieldError) else ():
            location, value = (*location, step), _inner(value, step)
        if detail["type"] == "too_short" and value:  # its entries are refused, each by itself
            continue
        known = location
        while known not in origins:
            known = known[:-1]
        problem, mend = _judge(detail, location, value, data, file)
        field = ".".join(map(str, location)) or f"the {file.name}"
        accepted.setdefault((origins[known], field, problem), []).append(mend)
    return "\n".join(
        f"{origin}: {field}: {problem}; accepted: {' or '.join(dict.fromkeys(mends))}."
        for (origin, field, problem), mends in accepted.items()
    )


def _judge(detail: ErrorDetails, location: Location, value: Any, data: Any, file: FileKind[Any]) -> tuple[str, str]:
    """What is wrong at a location, and what would be accepted there."""
    kind, name = detail["type"], detail["loc"][-1] if detail["loc"] else ""
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    message = message[:1].lower() + message[1:]
    if kind == "missing":
        return f"the field {name} is missing", f"{name}: VALUE"
    if kind == "extra_forbidden":
        return "unknown field", ", ".join(_fields_at(location[:-1], data, file))
    if name == "[key]":
        return "unknown field", message
    if kind in ("union_tag_not_found", "union_tag_invalid") or (kind == "dict_type" and name == "transform"):
        message = f"a mapping with name: one of {', '.join(TRANSFORM_NAMES)}"
    elif kind == "model_type":
        model = file.model.model_json_schema()["$defs"][detail["ctx"]["class_name"]]
        message = "{" + ", ".join(f"{field}: VALUE" for field in model.get("required", model["properties"])) + "}"
    elif kind == "string_pattern_mismatch":
        message = f"text that matches {detail['ctx']['pattern']}"
    elif kind == "too_short":
        message = "at least one entry"
    elif kind in _YAML_WORDS:
        message = _YAML_WORDS[kind]
    return f"read {_short(value)}", message


def _locate(steps: tuple[Any, ...], data: Any) -> tuple[Location, Any]:
    """The part of pydantic's location that is in the data (union members are not), and the value there."""
    location: list[str | int] = []
    for step in steps:
        if (isinstance(data, dict) and step in data) or (isinstance(data, list) and isinstance(step, int)):
            data = data[step]
            location.append(step)
    return tuple(location), data


def _inner(value: Any, step: str | int) -> Any:
    """A field's value; `_NOTHING` if it is not given."""
    if isinstance(value, dict):
        return value.get(step, _NOTHING)
    return value[step] if isinstance(value, list) and isinstance(step, int) else _NOTHING


def _fields_at(location: Location, data: Any, file: FileKind[Any]) -> list[str]:
    """The fields that the model's JSON schema accepts at a location."""
    schema = file.model.model_json_schema()
    definitions = schema.get("$defs", {})

    def members(node: dict[str, Any], value: Any) -> list[dict[str, Any]]:
        while "$ref" in node:
            node = definitions[node["$ref"].rpartition("/")[2]]
        name = value.get("name") if isinstance(value, dict) else None
        tag = node.get("discriminator", {}).get("mapping", {}).get(name) if isinstance(name, str) else None
        options = [{"$ref": tag}] if tag else node.get("oneOf", []) + node.get("anyOf", [])
        return [member for option in options for member in members(option, value)] if options else [node]

    nodes, value = members(schema, data), data
    for step in location:
        value = value[step]
        inner = [node.get("properties", {}).get(step) or node.get("additionalProperties") or node.get("items")
                 for node in nodes]  # fmt: skip
        nodes = [member for node in inner if isinstance(node, dict) for member in members(node, value)]
    return [name for node in nodes for name in node.get("properties", {})]


def _short(value: Any) -> str:
    if value is _NOTHING:
        return "nothing"
    text = _CREDENTIALS.sub("***", json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 80 else text[:77] + "..."
