"""The messages and stubs of TensorFlow Serving's protocol, without TensorFlow.

The package `tensorflow_serving` imports TensorFlow's messages, and the package around these imports all of TensorFlow:
some seconds and hundreds of megabytes that a gateway has no use for. While they are imported here an empty package
stands in its place; it is taken away again, and whoever imports TensorFlow afterwards gets it, with these messages.
"""

import contextlib
import importlib.util
import sys
import types
from collections.abc import Iterator

_NAME = "tensorflow"


@contextlib.contextmanager
def _without_tensorflow() -> Iterator[None]:
    spec = importlib.util.find_spec(_NAME) if _NAME not in sys.modules else None
    if spec is None or spec.submodule_search_locations is None:
        yield
        return
    empty = types.ModuleType(_NAME)
    empty.__path__ = list(spec.submodule_search_locations)
    sys.modules[_NAME] = empty
    try:
        yield
    finally:
        del sys.modules[_NAME]


with _without_tensorflow():
    from tensorflow.core.example import example_pb2
    from tensorflow.core.framework import types_pb2
    from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

__all__ = ["example_pb2", "get_model_metadata_pb2", "predict_pb2", "prediction_service_pb2_grpc", "types_pb2"]
