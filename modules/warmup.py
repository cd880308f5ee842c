"""The requests that TensorFlow Serving replays before it calls a new version available."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from modules.raw_features import raw_dtype
from modules.spec import Declaration

_BATCHES = (1, 100)


def write_warmup_requests(declaration: Declaration, model_dir: str) -> None:
    """Writes `assets.extra/tf_serving_warmup_requests`: both scoring signatures, with 1 and with 100 rows.

    The rows hold zeros and empty texts, and lack every optional feature that `serving_examples` can lack: they warm the
    graph, whose work does not depend on the values.
    """
    path = Path(model_dir, "assets.extra", "tf_serving_warmup_requests")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for rows in _BATCHES:
            for signature, inputs in (
                ("serving_default", _by_name(declaration, rows)),
                ("serving_examples", _examples(declaration, rows)),
            ):
                log = prediction_log_pb2.PredictionLog()
                request = log.predict_log.request
                request.model_spec.name = declaration.dataset
                request.model_spec.signature_name = signature
                for name, values in inputs.items():
                    request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
                writer.write(log.SerializeToString())


def _by_name(declaration: Declaration, rows: int) -> dict[str, np.ndarray | list[bytes]]:
    """All inputs of `serving_default` but the presences."""
    return {
        name: [b""] * rows if raw_dtype(column) == tf.string else np.zeros(rows, raw_dtype(column).as_numpy_dtype)
        for name, column in declaration.features.items()
    }


def _examples(declaration: Declaration, rows: int) -> dict[str, list[bytes]]:
    example = tf.train.Example()
    for name, column in declaration.features.items():
        if not column.optional:
            feature = example.features.feature[name]
            if column.type == "string":
                feature.bytes_list.value.append(b"")
            elif column.type == "float":
                feature.float_list.value.append(0.0)
            else:
                feature.int64_list.value.append(0)
    return {"examples": [example.SerializeToString()] * rows}
