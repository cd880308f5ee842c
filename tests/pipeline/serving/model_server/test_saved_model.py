import inspect
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from pipeline.serving.model_server import saved_model
from pipeline.serving.model_server.saved_model import SavedModel
from pipeline.serving.model_server.status import InvalidArgument, NotFound
from tests.pipeline.serving.model_server.serving import Client, floats

CONFIG = config_pb2.ConfigProto()


def tensors(model: SavedModel, signature: str) -> tuple[dict[str, str], dict[str, str]]:
    found = model.signatures[signature]
    return {k: v.name for k, v in found.inputs.items()}, {k: v.name for k, v in found.outputs.items()}


@pytest.mark.parametrize(
    ("name", "fed", "expected"),
    [
        ("linear", [2.0, 3.0], [3.0, 3.5]),
        ("old_linear", [[2.0], [3.0]], [[3.0], [3.5]]),
        ("old_linear", [2.0, 3.0], [3.0, 3.5]),  # the graph says (None, 1), which TensorFlow Serving does not check
        ("keras_model", [[2.0]], [[6.0]]),
    ],
)
def test_every_kind_of_model_loads_and_answers(saved: Path, name: str, fed: list[float], expected: list[float]) -> None:
    (version,) = (saved / name).iterdir()
    model = SavedModel(version, ["serve"], CONFIG)
    inputs, outputs = tensors(model, "serving_default")
    ((feed,), fetches) = inputs.values(), list(outputs.values())
    (result,) = model.run({feed: np.array(fed, np.float32)}, fetches)
    assert result.tolist() == expected
    model.close()


def test_what_a_callable_is_for() -> None:
    """Ours to notice, should TensorFlow change it: no public name leads to it."""
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
        x = tf.compat.v1.placeholder(tf.float32, (None, 1), "x")
        tf.identity(x, "y")
        with pytest.raises(ValueError, match="Cannot feed value of shape"):
            session.run("y:0", {"x:0": np.zeros(3, np.float32)})
        call = session._make_callable_from_options(config_pb2.CallableOptions(feed=["x:0"], fetch=["y:0"]))
        assert call(np.zeros(3, np.float32))[0].shape == (3,)
        assert list(inspect.signature(session._make_callable_from_options).parameters) == ["callable_options"]


def test_callables_run_beside_each_other(saved: Path) -> None:
    """The interpreter's lock is free while TensorFlow works, so Python goes on."""
    model = SavedModel(saved / "kinds" / "123", ["serve"], CONFIG)
    inputs, outputs = tensors(model, "slow")
    feeds, fetches = {inputs["turns"]: np.array([2000], np.int32)}, [outputs["y"]]
    model.run(feeds, fetches)
    started = time.perf_counter()
    model.run(feeds, fetches)
    alone = time.perf_counter() - started
    counted, done = 0, threading.Event()

    def work() -> None:
        model.run({inputs["turns"]: np.array([20000], np.int32)}, fetches)
        done.set()

    threading.Thread(target=work).start()
    while not done.is_set():
        counted += 1
        time.sleep(alone / 10)
    assert counted > 5
    model.close()


def test_a_wrong_dtype_is_named(saved: Path) -> None:
    model = SavedModel(saved / "linear" / "00000123", ["serve"], CONFIG)
    inputs, outputs = tensors(model, "serving_default")
    with pytest.raises(InvalidArgument, match=r"Expects arg\[0\] to be float but string is provided"):
        model.run({inputs["x"]: np.array([b"a"], object)}, list(outputs.values()))
    with pytest.raises(InvalidArgument, match="nothing:0"):
        model.run({"nothing:0": np.array([1.0])}, list(outputs.values()))
    model.close()


def test_many_subsets_of_outputs_are_not_all_kept(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_model, "_MOST_CALLABLES", 3)
    model = SavedModel(saved / "linear" / "00000123", ["serve"], CONFIG)
    inputs, outputs = tensors(model, "serving_default")
    for times in (1, 2, 3, 4, 5, 1):
        assert len(model.run({inputs["x"]: np.zeros(1, np.float32)}, [outputs["y"]] * times)) == times
    assert len(model._callables) == 3
    model.close()


@pytest.mark.parametrize("tags", [["nobody"], ["serve", "gpu"]])
def test_tags_that_are_not_there(saved: Path, tags: list[str]) -> None:
    with pytest.raises(NotFound, match="MetaGraphDef associated with tags"):
        SavedModel(saved / "linear" / "00000123", tags, CONFIG)


def test_no_model_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="SavedModel file does not exist"):
        SavedModel(tmp_path, ["serve"], CONFIG)


def test_defaults_of_the_signature_fill_what_is_left_out(client: Client) -> None:
    assert client.predict("kinds", "with_default", x=floats(1, 2)).outputs["sum"].float_val[:] == [11, 12]
    given = client.predict("kinds", "with_default", x=floats(1, 2), y=floats(0, 1))
    assert given.outputs["sum"].float_val[:] == [1, 3]
