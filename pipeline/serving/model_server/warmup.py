"""The requests that a version brings along, replayed before it is called available."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from pipeline.serving.model_server.classify import classify
from pipeline.serving.model_server.metrics import WARMUP_LATENCY, WARMUP_RECORDS, micros_since
from pipeline.serving.model_server.multi_inference import multi_inference
from pipeline.serving.model_server.predict import predict
from pipeline.serving.model_server.regress import regress
from pipeline.serving.model_server.servable import Servable
from pipeline.serving.model_server.status import InvalidArgument, ServingError

_log = logging.getLogger(__name__)

_MOST_RECORDS = 1000
_ANSWERS = {
    "predict_log": predict,
    "classify_log": classify,
    "regress_log": regress,
    "multi_inference_log": multi_inference,
}


def warm_up(servable: Servable, directory: Path, iterations: int) -> None:
    """Replays the requests in `assets.extra/tf_serving_warmup_requests`, if there are any.

    Args:
      servable: The version.
      directory: Where it was loaded from.
      iterations: How often each request is replayed.

    Raises:
      ServingError: The file cannot be read, or a request fails.
    """
    path = directory / "assets.extra" / "tf_serving_warmup_requests"
    if not path.exists():
        return
    started = time.perf_counter()
    count = 0
    for count, log in enumerate(_read(path), start=1):
        if count > _MOST_RECORDS:
            raise InvalidArgument(f"Number of warmup records exceeds the maximum ({_MOST_RECORDS}) at {path}")
        kind = log.WhichOneof("log_type")
        if kind is None:
            continue
        if kind not in _ANSWERS:
            number = log.DESCRIPTOR.fields_by_name[kind].number
            raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")
        for _ in range(iterations):
            _ANSWERS[kind](servable, getattr(log, kind).request)
    WARMUP_LATENCY.labels(str(directory), "OK").observe(micros_since(started))
    WARMUP_RECORDS.labels(str(directory), "OK").inc(count)
    _log.info("%s: %d warm-up requests in %.0f ms", directory, count, micros_since(started) / 1000)


def _read(path: Path) -> Iterator[prediction_log_pb2.PredictionLog]:
    try:
        for record in tf.compat.v1.io.tf_record_iterator(str(path)):
            yield prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError:
        raise InvalidArgument(f"Failed to parse warmup record from {path}") from None
    except tf.errors.DataLossError as error:
        raise ServingError(
            grpc.StatusCode.DATA_LOSS, f"{error.message}. Please verify your warmup data is in TFRecord format."
        ) from None
