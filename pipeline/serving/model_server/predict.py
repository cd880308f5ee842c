"""Predict: inputs by alias in, outputs by alias out."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

import grpc
from tensorflow_serving.apis import predict_pb2

from pipeline.serving.model_server import methods
from pipeline.serving.model_server.metrics import timed_run
from pipeline.serving.model_server.servable import DEFAULT_SIGNATURE, Servable
from pipeline.serving.model_server.status import FailedPrecondition, InvalidArgument, ServingError
from pipeline.serving.model_server.tensors import Array, to_array, to_proto

T = TypeVar("T")


def predict(servable: Servable, request: Any) -> Any:
    """Answers a PredictRequest."""
    signature_name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    outputs = run(
        servable, signature_name, request.inputs, lambda alias, proto: to_array(proto, alias), request.output_filter
    )
    response = predict_pb2.PredictResponse()
    servable.fill_spec(response.model_spec, signature_name)
    for alias, array in outputs.items():
        to_proto(array, response.outputs[alias], servable.tensor_content)
    return response


def run(
    servable: Servable,
    signature_name: str,
    inputs: Mapping[str, T],
    parse: Callable[[str, T], Array],
    output_filter: Iterable[str] = (),
) -> dict[str, Array]:
    """The outputs by alias: those of the filter, or without one all.

    Args:
      servable: Whose signature it is.
      signature_name: The signature's key.
      inputs: By alias.
      parse: From an input and its alias to an array.
      output_filter: Aliases.
    """
    signature = servable.model.signatures.get(signature_name)
    if signature is None:
        raise FailedPrecondition(f'Serving signature key "{signature_name}" not found.')
    if servable.check_method_names and signature.method_name not in methods.ALL:
        raise ServingError(
            grpc.StatusCode.INTERNAL,
            f"Expected prediction signature method_name to be one of {{{', '.join(methods.ALL)}}}. "
            f"Was: {signature.method_name}",
        )
    feeds = _feeds(signature, servable.defaults[signature_name], inputs, parse)
    aliases = _aliases(signature, output_filter)
    arrays = timed_run(servable, "Predict", feeds, [signature.outputs[alias].name for alias in aliases])
    return dict(zip(aliases, arrays, strict=True))


def _feeds(
    signature: Any, defaults: Mapping[str, Array], inputs: Mapping[str, T], parse: Callable[[str, T], Array]
) -> dict[str, Array]:
    expected = signature.inputs
    if len(inputs) > len(expected) or (len(inputs) < len(expected) and not defaults):
        raise InvalidArgument(
            f"input size does not match signature: {len(inputs)}!={len(expected)} len({_set(inputs)}) != "
            f"len({_set(expected)}). Sent extra: {_set(inputs.keys() - expected.keys())}. "
            f"Missing but required: {_set(expected.keys() - inputs.keys())}."
        )
    feeds = {}
    for alias, info in sorted(expected.items()):
        if alias in inputs:
            feeds[info.name] = parse(alias, inputs[alias])
        elif alias in defaults:
            feeds[info.name] = defaults[alias]
        else:
            raise InvalidArgument(
                f"Signature input alias: {alias}(feed name: {info.name}) not found in request and no default value "
                f"provided. Inputs expected to be in the request {_set(inputs)}, or default input alias set: "
                f"{','.join(sorted(defaults))}"
            )
    if not inputs.keys() <= expected.keys():
        raise InvalidArgument(
            f"Inputs contains invalid name. Used request inputs: {','.join(sorted(inputs.keys() & expected.keys()))}, "
            f"request input: {','.join(sorted(inputs))}"
        )
    return feeds


def _aliases(signature: Any, output_filter: Iterable[str]) -> list[str]:
    aliases: list[str] = []
    for alias in output_filter:
        if alias not in signature.outputs:
            raise InvalidArgument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{_set(signature.outputs)}."
            )
        if alias in aliases:
            raise InvalidArgument(f"duplicate output tensor alias: {alias}")
        aliases.append(alias)
    return aliases or sorted(signature.outputs)


def _set(names: Collection[str]) -> str:
    return f"{{{','.join(sorted(names))}}}"
