"""Classify and regress requests in JSON, and their results."""

from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.serving.model_server import json_text
from pipeline.serving.model_server.json_text import is_base64, shown, type_name
from pipeline.serving.model_server.status import InvalidArgument
from pipeline.serving.model_server.tensors import Array

_KINDS = {"int64_list": "int64", "float_list": "float", "bytes_list": "bytes"}


def read_examples(document: dict[str, Any], request_input: Any) -> None:
    """Fills an Input with the examples of the request, and their context if there is one."""
    target = request_input.example_list
    if "context" in document:
        target = request_input.example_list_with_context
        _fill_example(document["context"], target.context)
        target.context.SetInParent()
    if "examples" not in document:
        raise InvalidArgument(
            f"JSON Value: {shown(document)} When method is classify, key 'examples' is expected and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise InvalidArgument(f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise InvalidArgument(f"JSON Value: {shown(document)} 'examples' value is an empty array")
    for example in examples:
        _fill_example(example, target.examples.add())


def _fill_example(value: Any, example: tf.train.Example) -> None:
    if not isinstance(value, dict):
        raise InvalidArgument(f"Example must be JSON object but got JSON {type_name(value)}")
    for name, content in value.items():
        feature = example.features.feature[json_text.unicode(name)]
        for each in content if isinstance(content, list) else [content]:
            kind, element = _element(name, each)
            held = feature.WhichOneof("kind")
            if held not in (None, kind):
                raise InvalidArgument(f"Unexpected element type in feature: {name} expecting type: {_KINDS[held]}")
            getattr(feature, kind).value.append(element)


def _element(name: str, value: Any) -> tuple[str, Any]:
    """The list that the element belongs to, and the element."""
    if isinstance(value, (bool, int)):
        if value >= 2**64 or value < -(2**63):  # such a number is read as a float
            return "float_list", _float32(float(value))
        if value >= 2**63:
            raise InvalidArgument(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        return "int64_list", int(value)
    if isinstance(value, float):
        return "float_list", _float32(value)
    if isinstance(value, str):
        return "bytes_list", json_text.to_bytes(value)
    if is_base64(value):
        return "bytes_list", json_text.from_base64(value)
    raise InvalidArgument(f"Feature: {name} has element with unexpected JSON type: {type_name(value)}")


def _float32(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def write_classifications(result: Any) -> bytes:
    """The reply to classify: pairs of label and score of each example."""
    if not result.classifications:
        raise InvalidArgument("Cannot convert empty ClassificationResults to JSON")
    rows = []
    for each in result.classifications:
        scores = json_text.floats(_array([one.score for one in each.classes]))
        labels = [json_text.string(one.label.encode()) for one in each.classes]
        rows.append(f"[{', '.join(f'[{label}, {score}]' for label, score in zip(labels, scores, strict=True))}]")
    return json_text.members([("results", f"[{', '.join(rows)}\n    ]")], 0).encode()


def write_regressions(result: Any) -> bytes:
    """The reply to regress: a number of each example."""
    if not result.regressions:
        raise InvalidArgument("Cannot convert empty RegressionResults to JSON")
    numbers = json_text.floats(_array([each.value for each in result.regressions]))
    return json_text.members([("results", f"[{', '.join(numbers)}]")], 0).encode()


def _array(values: list[float]) -> Array:
    return np.array(values, np.float32)
