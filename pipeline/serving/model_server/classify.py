"""Classify: labels and scores of each example."""

from typing import Any

from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import classification_pb2

from pipeline.serving.model_server import methods
from pipeline.serving.model_server.examples import serialized_examples
from pipeline.serving.model_server.metrics import timed_run
from pipeline.serving.model_server.servable import Servable
from pipeline.serving.model_server.status import InvalidArgument
from pipeline.serving.model_server.tensors import Array, enum_name, shape_text


def classify(servable: Servable, request: Any) -> Any:
    """Answers a ClassificationRequest."""
    signature_name, signature = servable.signature(request.model_spec)
    feed, fetches = tensors(signature, servable.check_method_names)
    response = classification_pb2.ClassificationResponse()
    servable.fill_spec(response.model_spec, signature_name)
    examples = serialized_examples(request.input)
    arrays = timed_run(servable, "Classify", {feed: examples}, fetches)
    fill(response.result, signature, len(examples), dict(zip(fetches, arrays, strict=True)))
    return response


def tensors(signature: Any, check_method_name: bool) -> tuple[str, list[str]]:
    """The tensor to feed and those to fetch.

    Raises:
      InvalidArgument: The signature does not classify.
    """
    if check_method_name and signature.method_name != methods.CLASSIFY:
        raise InvalidArgument(
            f"Expected classification signature method_name to be {methods.CLASSIFY}. Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise InvalidArgument("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise InvalidArgument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if "inputs" not in signature.inputs:
        raise InvalidArgument(f"No classification inputs found in SignatureDef: {signature}")
    fetches = [signature.outputs[alias].name for alias in ("classes", "scores") if alias in signature.outputs]
    if not fetches:
        raise InvalidArgument(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            f"Signature was: {signature}"
        )
    return signature.inputs["inputs"].name, fetches


def fill(result: Any, signature: Any, examples: int, outputs: dict[str, Array]) -> None:
    """Writes the outputs, which are by the tensors' names, into a ClassificationResult."""
    found = {
        alias: _checked(alias, outputs[signature.outputs[alias].name], examples)
        for alias in ("classes", "scores")
        if alias in signature.outputs
    }
    widths = {alias: array.shape[1] for alias, array in found.items()}
    if len(set(widths.values())) > 1:
        raise InvalidArgument(
            f"Tensors class and score should match in dim_size(1). Got {widths['classes']} vs. {widths['scores']}"
        )
    columns = {"classes": "label", "scores": "score"}
    lists = [(columns[alias], array.tolist()) for alias, array in found.items()]
    for row in range(examples):
        classes = result.classifications.add().classes
        for column in range(next(iter(widths.values()))):
            classes.add(**{field: values[row][column] for field, values in lists})


_DTYPES = {"classes": types_pb2.DT_STRING, "scores": types_pb2.DT_FLOAT}


def _checked(alias: str, array: Array, examples: int) -> Array:
    if array.ndim != 2:
        raise InvalidArgument(f"Expected Tensor shape: [batch_size num_classes] but got {shape_text(array)}")
    expected = types_pb2.DataType.Name(_DTYPES[alias])
    if enum_name(array.dtype) != expected:
        raise InvalidArgument(f"Expected {alias} Tensor of {expected}. Got: {enum_name(array.dtype)}")
    if len(array) != examples:
        raise InvalidArgument(f"Expected {alias} output batch size of {examples}. Got: {len(array)}")
    return array
