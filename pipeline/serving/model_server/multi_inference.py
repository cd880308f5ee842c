"""MultiInference: several signatures of one model over the same examples, in one run."""

from typing import Any

import grpc
from tensorflow_serving.apis import inference_pb2

from pipeline.serving.model_server import classify, methods, regress
from pipeline.serving.model_server.examples import count_examples, serialized_examples
from pipeline.serving.model_server.metrics import timed_run
from pipeline.serving.model_server.servable import DEFAULT_SIGNATURE, Servable
from pipeline.serving.model_server.status import InvalidArgument, ServingError


def multi_inference(servable: Servable, request: Any) -> Any:
    """Answers a MultiInferenceRequest."""
    signatures: dict[str, Any] = {}
    feeds: set[str] = set()
    fetches: set[str] = set()
    for task in request.tasks:
        if not task.model_spec.name:
            raise InvalidArgument("Found ModelSpec with an empty model name.")
        if task.model_spec.name != request.tasks[0].model_spec.name:
            raise InvalidArgument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in signatures:
            raise InvalidArgument(f"Duplicate evaluation of signature: {name}")
        if name not in servable.model.signatures:
            raise InvalidArgument(f"Requested signature not found in model graph: {name}")
        signatures[name] = servable.model.signatures[name]
        if task.method_name == methods.CLASSIFY:
            feed, fetched = classify.tensors(signatures[name], servable.check_method_names)
        elif task.method_name == methods.REGRESS:
            feed, fetched = regress.tensors(signatures[name], servable.check_method_names)
        else:
            raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
        feeds.add(feed)
        fetches.update(fetched)
    examples = serialized_examples(request.input)
    names = sorted(fetches)
    outputs = dict(
        zip(names, timed_run(servable, "MultiInference", dict.fromkeys(feeds, examples), names), strict=True)
    )
    count_examples(servable.name, len(examples))
    response = inference_pb2.MultiInferenceResponse()
    for task, (name, signature) in zip(request.tasks, signatures.items(), strict=True):
        result = response.results.add()
        if task.method_name == methods.CLASSIFY:
            classify.fill(result.classification_result, signature, len(examples), outputs)
        else:
            regress.fill(result.regression_result, len(examples), outputs[signature.outputs["outputs"].name])
        servable.fill_spec(result.model_spec, name)
    return response
