"""From `features.yaml` (and `--set` overrides) to a checked declaration, or an error that names file, line and field."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from modules.spec.declaration import Declaration
from modules.spec.errors import DeclarationError
from modules.spec.transforms import TRANSFORM_NAMES

Location = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML without its surprises: dates stay text, and only true and false are booleans."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in ("timestamp", "bool")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))


def load_declaration(path: Path, overrides: Iterable[str] = ()) -> Declaration:
    """Reads and checks a declaration.

    Args:
      path: A YAML file.
      overrides: `field.of.the.declaration=value` each, the value in YAML; they win over the file.

    Raises:
      DeclarationError: The file cannot be read, is not YAML, or says something that is not accepted.
    """
    data, lines = _read(path)
    origins = {location: f"{path}:{line}" for location, line in lines.items()}
    for override in overrides:
        origins[_apply(override, data)] = "--set"
    try:
        return Declaration.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise DeclarationError(_describe(error.errors(include_url=False), data, origins)) from None


def _read(path: Path) -> tuple[dict[str, Any], dict[Location, int]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DeclarationError(f"{path}: no such file. Name a declaration with --features FILE.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError(f"{path}: cannot be read as UTF-8 text: {error}.") from None
    lines: dict[Location, int] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise DeclarationError(f"{path}:1: read no fields; accepted: a mapping that starts with dataset: NAME.")
        _walk(node, (), lines, path)
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DeclarationError(f"{path}:{line}: not YAML: {error.problem}.") from None
    except yaml.YAMLError as error:
        raise DeclarationError(f"{path}: not YAML: {error}.") from None


def _walk(node: yaml.Node, location: Location, lines: dict[Location, int], path: Path) -> None:
    """Notes the line of every field, and refuses a field that is given twice."""
    lines.setdefault(location, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*location, key.value)
            if inner in lines:
                name = ".".join(map(str, inner))
                raise DeclarationError(
                    f"{path}:{key.start_mark.line + 1}: {name} is given twice, first on line {lines[inner]}. Keep one."
                )
            lines[inner] = key.start_mark.line + 1
            _walk(value, inner, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*location, index), lines, path)


def _apply(override: str, data: dict[str, Any]) -> Location:
    field, equals, text = override.partition("=")
    names = tuple(field.split("."))
    if not equals or not all(names):
        raise DeclarationError(f"--set {override}: accepted: FIELD=VALUE, such as --set training.steps=200.")
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError:
        raise DeclarationError(f"--set {override}: the value is not YAML; put quotes around it.") from None
    at = data
    for depth, name in enumerate(names[:-1]):
        at = at.setdefault(name, {})
        if not isinstance(at, dict):
            raise DeclarationError(f"--set {override}: {'.'.join(names[: depth + 1])} is a value and has no fields.")
    at[names[-1]] = value
    return names


def _describe(errors: list[ErrorDetails], data: Any, origins: dict[Location, str]) -> str:
    """A line a field: `file:line: field: read X; accepted: Y`."""
    accepted: dict[tuple[str, str, str], list[str]] = {}
    for detail in errors:
        location, value = _locate(detail["loc"], data)
        known = location
        while known not in origins:
            known = known[:-1]
        field = ".".join(map(str, location))
        if detail["type"] == "missing":
            problem, mend = "is missing", f"the field {detail['loc'][-1]}"
        elif detail["type"] == "extra_forbidden":
            problem, mend = "unknown field", ", ".join(_fields_at(location[:-1], data))
        elif detail["type"] in ("union_tag_not_found", "union_tag_invalid"):
            problem, mend = f"read {_short(value)}", f"a mapping with name: one of {', '.join(TRANSFORM_NAMES)}"
        else:
            message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            problem, mend = f"read {_short(value)}", message[:1].lower() + message[1:]
        accepted.setdefault((origins[known], field or "the declaration", problem), []).append(mend)
    return "\n".join(
        f"{origin}: {field}: {problem}; accepted: {' or '.join(dict.fromkeys(mends))}."
        for (origin, field, problem), mends in accepted.items()
    )


def _locate(steps: Location, data: Any) -> tuple[Location, Any]:
    """The part of pydantic's location that is in the data (union members are not), and the value there."""
    location: list[str | int] = []
    for step in steps:
        if (isinstance(data, dict) and step in data) or (isinstance(data, list) and isinstance(step, int)):
            data = data[step]
            location.append(step)
    return tuple(location), data


def _fields_at(location: Location, data: Any) -> list[str]:
    """The fields that the declaration's JSON schema accepts at a location."""
    schema = Declaration.model_json_schema()
    definitions = schema["$defs"]

    def members(node: dict[str, Any], value: Any) -> list[dict[str, Any]]:
        while "$ref" in node:
            node = definitions[node["$ref"].rpartition("/")[2]]
        tag = (
            node.get("discriminator", {}).get("mapping", {}).get(value.get("name") if isinstance(value, dict) else None)
        )
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
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
