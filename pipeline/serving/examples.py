"""From the values of rows to the input of `serving_examples`: a serialized `tf.Example` each, with the bits that
training saw, and without what a row lacks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modules.kernel.rounding import to_example
from modules.spec import Declaration
from pipeline.serving.protocol import example_pb2


def serialized_examples(columns: Mapping[str, Sequence[Any]], declaration: Declaration) -> list[bytes]:
    """Serialized examples, one a row.

    Args:
      columns: All features by name, each of shape (rows,): int, bool, float, and text or its bytes; None where a row
        has no value. Columns that are no features are left aside.
      declaration: What says their types.
    """
    columns = dict(columns)
    kinds = {name: column.type for name, column in declaration.features.items()}
    floats = [name for name, kind in kinds.items() if kind == "float"]
    if floats:
        full_width = np.array([[0.0 if v is None else v for v in columns[name]] for name in floats], np.float64)
        for name, rounded in zip(floats, to_example(full_width).tolist(), strict=True):
            columns[name] = [None if v is None else r for v, r in zip(columns[name], rounded, strict=True)]
    examples = []
    for row in range(len(columns[next(iter(kinds))])):
        example = example_pb2.Example()
        features = example.features.feature
        for name, kind in kinds.items():
            if (value := columns[name][row]) is None:
                continue
            if kind == "float":
                features[name].float_list.value.append(value)
            elif kind == "string":
                features[name].bytes_list.value.append(value.encode() if isinstance(value, str) else value)
            else:
                features[name].int64_list.value.append(value)
        examples.append(example.SerializeToString())
    return examples
