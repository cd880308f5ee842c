"""The examples of a request, serialized, without being parsed one by one."""

from typing import Any

import numpy as np

from pipeline.serving.model_server.messages import SerializedInput
from pipeline.serving.model_server.metrics import EXAMPLE_COUNT_TOTAL, EXAMPLE_COUNTS
from pipeline.serving.model_server.status import InvalidArgument
from pipeline.serving.model_server.tensors import Array


def serialized_examples(request_input: Any) -> Array:
    """The tf.Examples of an Input as an array of bytes.

    A context is set before each example: where both have a feature, the example's counts.

    Raises:
      InvalidArgument: There are none.
    """
    parsed = SerializedInput.FromString(request_input.SerializeToString())
    with_context = parsed.example_list_with_context
    examples = parsed.example_list.examples[:] or [with_context.context + each for each in with_context.examples]
    if not examples:
        raise InvalidArgument("Input is empty.")
    return np.array(examples, object)


def count_examples(model: str, count: int) -> None:
    """Counts the examples of a request."""
    EXAMPLE_COUNTS.labels(model).observe(count)
    EXAMPLE_COUNT_TOTAL.labels(model).inc(count)
