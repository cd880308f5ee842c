import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import prediction_log_pb2

from pipeline.serving.model_server.saved_model import SavedModel
from pipeline.serving.model_server.servable import Servable
from pipeline.serving.model_server.status import ServingError
from pipeline.serving.model_server.warmup import warm_up
from tests.pipeline.serving.model_server.serving import floats, running

PREDICT = """predict_log { request {
    inputs { key: "x" value { dtype: DT_FLOAT tensor_shape { dim { size: 1 } } float_val: 2 } }
} }"""
CLASSIFY = """classify_log { request {
    model_spec { signature_name: "classify_x_to_y" }
    input { example_list { examples { features { feature { key: "x" value { float_list { value: 2 } } } } } } }
} }"""
REGRESS = CLASSIFY.replace("classify", "regress")
BOTH = """multi_inference_log { request {
    tasks { model_spec { name: "m" signature_name: "regress_x_to_y" } method_name: "tensorflow/serving/regress" }
    input { example_list { examples { features { feature { key: "x" value { float_list { value: 2 } } } } } } }
} }"""


class Counting:
    """A model that counts its runs."""

    def __init__(self, model: SavedModel) -> None:
        self.signatures = model.signatures
        self.model = model
        self.runs = 0

    def run(self, feeds: object, fetches: object) -> object:
        self.runs += 1
        return self.model.run(feeds, fetches)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model(saved: Path) -> SavedModel:
    return SavedModel(saved / "linear" / "00000123", ["serve"], config_pb2.ConfigProto())


def replay(model: SavedModel, directory: Path, *records: bytes | str, iterations: int = 1) -> int:
    path = directory / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            log = text_format.Parse(record, prediction_log_pb2.PredictionLog()) if isinstance(record, str) else None
            writer.write(log.SerializeToString() if log else record)
    counting = Counting(model)
    warm_up(Servable("m", 1, counting), directory, iterations)  # type: ignore[arg-type]
    return counting.runs


@pytest.mark.parametrize(
    ("records", "iterations", "runs"),
    [
        ([PREDICT, CLASSIFY, REGRESS, BOTH], 1, 4),
        ([PREDICT, PREDICT], 3, 6),
        ([""], 1, 0),
        ([PREDICT] * 1000, 1, 1000),
    ],
)
def test_requests_are_replayed(
    model: SavedModel, tmp_path: Path, records: list[str], iterations: int, runs: int
) -> None:
    assert replay(model, tmp_path, *records, iterations=iterations) == runs


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (["predict_log { request { } }"], "INVALID_ARGUMENT: input size does not match signature"),
        ([b"\xff"], "INVALID_ARGUMENT: Failed to parse warmup record"),
        (["session_run_log { }"], "UNIMPLEMENTED: Unsupported log_type for warmup: 5"),
        ([PREDICT] * 1001, r"INVALID_ARGUMENT: Number of warmup records exceeds the maximum \(1000\) at /"),
    ],
)
def test_what_fails_the_load(model: SavedModel, tmp_path: Path, records: list[bytes | str], message: str) -> None:
    with pytest.raises(ServingError, match=message):
        replay(model, tmp_path, *records)


def test_a_file_of_another_format(model: SavedModel, tmp_path: Path) -> None:
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "tf_serving_warmup_requests").write_text("no records at all")
    with pytest.raises(ServingError, match=r"DATA_LOSS: .*\. Please verify your warmup data is in TFRecord format\."):
        warm_up(Servable("m", 1, model), tmp_path, 1)


def test_a_version_whose_warm_up_fails_is_not_served(
    saved: Path, other: Path, tmp_path: Path, model: SavedModel
) -> None:
    shutil.copytree(other, tmp_path / "base" / "1")
    with pytest.raises(ServingError):
        replay(model, tmp_path / "base" / "1", b"\xff")
    flags = {"model_name": "m", "model_base_path": str(tmp_path / "base"), "max_num_load_retries": 0}
    with pytest.raises(ServingError, match="Failed to parse warmup record"), running(**flags):
        pass
    with running(**flags, enable_model_warmup=False, rest_api_port=0) as client:
        assert client.predict("m", x=floats(2)).outputs["y"].float_val[:] == [12.0]
