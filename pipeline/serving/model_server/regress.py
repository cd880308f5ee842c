"""Regress: one number for each example."""

from typing import Any

from tensorflow_serving.apis import regression_pb2

from pipeline.serving.model_server import methods
from pipeline.serving.model_server.examples import serialized_examples
from pipeline.serving.model_server.metrics import timed_run
from pipeline.serving.model_server.servable import Servable
from pipeline.serving.model_server.status import InvalidArgument
from pipeline.serving.model_server.tensors import Array, enum_name, shape_text


def regress(servable: Servable, request: Any) -> Any:
    """Answers a RegressionRequest."""
    signature_name, signature = servable.signature(request.model_spec)
    feed, fetches = tensors(signature, servable.check_method_names)
    response = regression_pb2.RegressionResponse()
    servable.fill_spec(response.model_spec, signature_name)
    examples = serialized_examples(request.input)
    (array,) = timed_run(servable, "Regress", {feed: examples}, fetches)
    fill(response.result, len(examples), array)
    return response


def tensors(signature: Any, check_method_name: bool) -> tuple[str, list[str]]:
    """The tensor to feed, and the one to fetch in a list.

    Raises:
      InvalidArgument: The signature does not regress.
    """
    if check_method_name and signature.method_name != methods.REGRESS:
        raise InvalidArgument(
            f"Expected regression signature method_name to be {methods.REGRESS}. Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise InvalidArgument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise InvalidArgument("Expected one output Tensor.")
    if "inputs" not in signature.inputs:
        raise InvalidArgument(f"No regression inputs found in SignatureDef: {signature}")
    if "outputs" not in signature.outputs:
        raise InvalidArgument(f"No regression outputs found in SignatureDef: {signature}")
    return signature.inputs["inputs"].name, [signature.outputs["outputs"].name]


def fill(result: Any, examples: int, output: Array) -> None:
    """Writes the output into a RegressionResult."""
    if output.ndim != 1 and (output.ndim != 2 or output.shape[1] != 1):
        raise InvalidArgument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got " + shape_text(output)
        )
    if len(output) != examples:
        raise InvalidArgument(f"Input batch size did not match output batch size: {examples} vs. {len(output)}")
    if enum_name(output.dtype) != "DT_FLOAT":
        raise InvalidArgument(f"Expected output Tensor of DT_FLOAT.  Got: {enum_name(output.dtype)}")
    for value in output.reshape(-1).tolist():
        result.regressions.add(value=value)
