"""Small SavedModels of every kind that the server must load."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_V1 = tf.compat.v1
_FEATURE = {"x": tf.io.FixedLenFeature([1], tf.float32)}


class Linear(tf.Module):
    """y = a * x + b, by name and out of examples."""

    def __init__(self, a: float, b: float) -> None:
        super().__init__()
        self.a = tf.Variable(a)
        self.b = tf.Variable(b)

    def _of(self, examples: tf.Tensor) -> tf.Tensor:
        return self.a * tf.io.parse_example(examples, _FEATURE)["x"] + self.b

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def predict(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """By name."""
        return {"y": self.a * x + self.b}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def regress(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Numbers."""
        return {"outputs": self._of(inputs)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def classify(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Labels and scores."""
        scores = self._of(inputs)
        return {"classes": tf.strings.as_string(scores, precision=1), "scores": scores}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def one_row(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """A row, however many examples there are."""
        return {"outputs": self._of(inputs)[:1], "scores": self._of(inputs)[:1]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def flat(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Outputs of the wrong rank or dtype."""
        return {"scores": self._of(inputs)[:, 0]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def doubles(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Outputs of the wrong dtype."""
        return {"outputs": tf.cast(self._of(inputs), tf.float64)}


def linear(directory: Path, a: float = 0.5, b: float = 2.0) -> Path:
    """A model of TensorFlow 2."""
    module = Linear(a, b)
    signatures = {
        "serving_default": module.predict,
        "regress_x_to_y": module.regress,
        "classify_x_to_y": module.classify,
        "one_row": module.one_row,
        "flat": module.flat,
        "doubles": module.doubles,
    }
    tf.saved_model.save(module, str(directory), signatures=signatures)
    return directory


def old_linear(directory: Path) -> Path:
    """A model of TensorFlow 1, with ref variables and method names; x is declared as (None, 1)."""
    builder = _V1.saved_model.builder.SavedModelBuilder(str(directory))
    with tf.Graph().as_default(), _V1.Session() as session:
        a = _V1.Variable(0.5, name="a", use_resource=False)
        b = _V1.Variable(2.0, name="b", use_resource=False)
        serialized = _V1.placeholder(tf.string, [None], name="tf_example")
        parsed = _V1.parse_example(serialized, {"x": _V1.FixedLenFeature([1], tf.float32)})
        x = tf.identity(parsed["x"], name="x")
        y = tf.add(tf.multiply(a, x), b, name="y")
        session.run(_V1.global_variables_initializer())
        utils = _V1.saved_model.utils
        example, value, number = map(utils.build_tensor_info, (serialized, x, y))

        def signature(inputs: dict[str, Any], outputs: dict[str, Any], method: str) -> Any:
            return _V1.saved_model.signature_def_utils.build_signature_def(
                inputs, outputs, f"tensorflow/serving/{method}"
            )

        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "serving_default": signature({"x": value}, {"y": number}, "predict"),
                "regress_x_to_y": signature({"inputs": example}, {"outputs": number}, "regress"),
                "classify_x_to_y": signature({"inputs": example}, {"scores": number}, "classify"),
            },
        )
        builder.save()
    return directory


def stateless(directory: Path) -> Path:
    """A model of TensorFlow 1 without variables; y = 2x."""
    builder = _V1.saved_model.builder.SavedModelBuilder(str(directory))
    with tf.Graph().as_default(), _V1.Session() as session:
        x = _V1.placeholder(tf.float32, [None], name="x")
        signature = _V1.saved_model.predict_signature_def({"x": x}, {"y": 2 * x})
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    return directory


def keras_model(directory: Path) -> Path:
    """What `model.export` writes; y = 3x, one feature a row."""
    model = keras.Sequential([keras.Input((1,), name="x"), keras.layers.Dense(1, use_bias=False, name="y")])
    model.layers[-1].set_weights([np.array([[3.0]])])
    model.export(str(directory), verbose=False)
    return directory


class Kinds(tf.Module):
    """Gives back what it gets, of many dtypes."""

    DTYPES = {
        "float": tf.float32,
        "double": tf.float64,
        "half": tf.float16,
        "bfloat": tf.bfloat16,
        "int8": tf.int8,
        "int16": tf.int16,
        "int32": tf.int32,
        "int64": tf.int64,
        "uint8": tf.uint8,
        "uint16": tf.uint16,
        "uint32": tf.uint32,
        "uint64": tf.uint64,
        "bool": tf.bool,
        "string": tf.string,
        "complex": tf.complex64,
        "complex128": tf.complex128,
    }

    def signatures(self) -> dict[str, Any]:
        """One a dtype, and some of several inputs."""
        found = {name: self._echo(dtype) for name, dtype in self.DTYPES.items()}
        text, number = tf.TensorSpec([None], tf.string, "text"), tf.TensorSpec([None, 2], tf.float32, "pair")

        @tf.function(input_signature=[text, number])
        def serving_default(text: tf.Tensor, pair: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"total": tf.reduce_sum(pair, 1), "text_bytes": text, "upper": tf.strings.upper(text)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x"), tf.TensorSpec([None], tf.float32, "y")])
        def with_default(x: tf.Tensor, y: tf.Tensor = tf.constant([10.0])) -> dict[str, tf.Tensor]:  # noqa: B008
            return {"sum": x + y}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def scalar(x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"rows": tf.size(x)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def ragged(x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"all": x, "first": x[:1]}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def failing(x: tf.Tensor) -> dict[str, tf.Tensor]:
            with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x > 0), ["x" * 2000])]):
                return {"y": tf.identity(x)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "turns")])
        def slow(turns: tf.Tensor) -> dict[str, tf.Tensor]:
            size = tf.zeros([64, 64]) + tf.cast(turns[0], tf.float32) * 0
            done = tf.while_loop(lambda i, _: i < turns[0], lambda i, m: (i + 1, tf.tanh(m @ m)), [0, size])
            return {"y": turns + tf.cast(done[1][0, 0], tf.int32)}

        return found | {
            "serving_default": serving_default,
            "with_default": with_default,
            "scalar": scalar,
            "ragged": ragged,
            "failing": failing,
            "slow": slow,
        }

    @staticmethod
    def _echo(dtype: tf.DType) -> Any:
        @tf.function(input_signature=[tf.TensorSpec(None, dtype, "x")])
        def echo(x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"x": tf.identity(x)}

        return echo


def kinds(directory: Path) -> Path:
    """The model of many dtypes."""
    module = Kinds()
    tf.saved_model.save(module, str(directory), signatures=module.signatures())
    return directory
