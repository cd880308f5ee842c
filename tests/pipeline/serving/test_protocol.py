"""A gateway talks to a model server without TensorFlow, and TensorFlow can still be had."""

import subprocess
import sys

from tests.conftest import ROOT

_GATEWAY = """
import sys
import pipeline.cli.serve
import pipeline.gateway.server
from pipeline.gateway.gateway import Gateway
from pipeline.serving.protocol import predict_pb2
assert not {"tensorflow", "keras", "apache_beam"} & sys.modules.keys()
"""
_AFTERWARDS = """
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2 as theirs
assert theirs.PredictRequest is predict_pb2.PredictRequest
request = predict_pb2.PredictRequest()
request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.5]))
assert tf.make_ndarray(request.inputs["x"]).tolist() == [1.5]
print("the same")
"""


def test_tensorflow_is_not_imported_and_can_be() -> None:
    command = [sys.executable, "-c", _GATEWAY + _AFTERWARDS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "the same\n", done.stderr
