"""What is pushed: one SavedModel that holds the transform graph, the model, and signatures over both.

- `serving_default`: raw features by name -> `score`. Each is of shape (batch,). An optional feature `x` has a second
  input, `x_present`, bool of shape (batch,), that marks it absent row by row; either may be left out. Without
  `x_present` every given value counts; without `x` no row has one. No value stands for a missing one. A live feature
  may be left out: then all rows have what an unknown key has.
- `serving_examples`: serialized `tf.Example`s, shape (batch,) -> `score`.
- `transform_features`: raw features by name, as in `serving_default` -> the model's inputs.
- `features_fingerprint`: nothing -> `features_fingerprint`, a string of shape (): that of the live features that the
  model was trained on (`Declaration.features_fingerprint`), so that whoever looks up others is refused; and beside it
  `schema_fingerprint` and `transform_fingerprint`, those of what it was made with (`modules.made_with`).

`score` is the probability of label 1: float32, shape (batch,).
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

from modules.model import build_model
from modules.raw_features import live_default, parse_spec, raw_dtype, to_sparse
from modules.spec import DEFAULTS_FINGERPRINT, FINGERPRINT_SIGNATURE, PRESENT_SUFFIX, Declaration
from modules.spec.training import Training

Raw = dict[str, tf.Tensor | tf.SparseTensor]


class ServingModel(tf.Module):
    """The transform graph and the model, in float64, behind the signatures above."""

    def __init__(
        self, declaration: Declaration, training: Training, trained: keras.Model, transform_graph: str
    ) -> None:
        super().__init__()
        self._declaration = declaration
        loader = SavedModelLoader(str(Path(transform_graph, "transform_fn")))
        self._transform_graph = loader._imported  # what is saved must be held; the loader has no public name for it
        self._apply = loader.apply_transform_model
        model = build_model(declaration, training, dtype="float64")
        model.set_weights([weight.astype("float64") for weight in trained.get_weights()])
        # The variables are held, and the Keras model is not: Keras would save copies of them in their place, which
        # TensorFlow Serving's session then fills, while the graph reads variables that nothing has filled.
        self._variables = [weight.value for weight in model.weights]
        self._logit = lambda inputs: model(inputs)

    def transform(self, raw: Raw) -> dict[str, tf.Tensor]:
        """The model's inputs for raw features in the transform graph's form."""
        transformed = self._apply(raw)
        return {name: transformed[name] for name in self._declaration.features}

    def score(self, raw: Raw) -> dict[str, tf.Tensor]:
        """The scores for raw features in the transform graph's form."""
        logit = self._logit(self.transform(raw))
        return {"score": tf.cast(tf.sigmoid(logit)[:, 0], tf.float32)}


def save(model: ServingModel, declaration: Declaration, directory: str, made_with: Mapping[str, str]) -> None:
    """Writes the SavedModel with its signatures.

    Args:
      model: What is behind them.
      declaration: The features.
      directory: Where to write.
      made_with: Fingerprints by name, which it gives beside that of the live features.
    """

    def serving_default(**features: tf.Tensor) -> dict[str, tf.Tensor]:
        return model.score(_raw(features, declaration))

    def transform_features(**features: tf.Tensor) -> dict[str, tf.Tensor]:
        return model.transform(_raw(features, declaration))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")], autograph=False)
    def serving_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return model.score(tf.io.parse_example(examples, parse_spec(declaration)))

    @tf.function(input_signature=[], autograph=False)
    def features_fingerprint() -> dict[str, tf.Tensor]:
        own = {
            FINGERPRINT_SIGNATURE: declaration.features_fingerprint,
            DEFAULTS_FINGERPRINT: declaration.defaults_fingerprint,
        }
        given = {**own, **made_with}
        return {name: tf.constant(fingerprint) for name, fingerprint in given.items()}

    signatures = {
        "serving_default": _by_name(serving_default, declaration),
        "serving_examples": serving_examples,
        "transform_features": _by_name(transform_features, declaration),
        FINGERPRINT_SIGNATURE: features_fingerprint,
    }
    tf.saved_model.save(model, directory, signatures=signatures)


def _by_name(
    function: Callable[..., dict[str, tf.Tensor]], declaration: Declaration
) -> Callable[..., dict[str, tf.Tensor]]:
    """A tf.function with one parameter a raw feature, those that may be left out with an empty default at the end.

    TensorFlow writes the defaults into the SignatureDef, from where a server takes what a request leaves out.
    """
    required, optional = [], []
    for name, column in declaration.features.items():
        if column.optional:
            optional.append((name, raw_dtype(column)))
            optional.append((name + PRESENT_SUFFIX, tf.bool))
        elif name in declaration.live_features:
            optional.append((name, raw_dtype(column)))
        else:
            required.append((name, raw_dtype(column)))

    def by_position(*values: tf.Tensor) -> dict[str, tf.Tensor]:
        return function(**{name: value for (name, _), value in zip([*required, *optional], values, strict=True)})

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    by_position.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, kind) for name, _ in required]
        + [inspect.Parameter(name, kind, default=tf.constant([], dtype)) for name, dtype in optional]
    )
    specs = [tf.TensorSpec([None], dtype, name) for name, dtype in [*required, *optional]]
    return tf.function(by_position, input_signature=specs, autograph=False)


def _raw(features: dict[str, tf.Tensor], declaration: Declaration) -> Raw:
    """The inputs of `serving_default` in the transform graph's form. An empty input is one that was left out.

    A request of one row costs what the number of operations is, so what can be is done for all inputs at once.
    """
    sizes = tf.stack([tf.size(values) for values in features.values()])
    rows, given = tf.reduce_max(sizes), sizes > 0
    is_given = dict(zip(features, tf.unstack(given), strict=True))
    optional = [name for name, column in declaration.features.items() if column.optional]
    required = [
        name in declaration.features and name not in {*optional, *declaration.live_features} for name in features
    ]
    too_few = tf.not_equal(sizes, rows) & (given | tf.constant(required))
    wrong, rules = [too_few], [f"{name} has fewer rows than another input" for name in features]
    if optional:
        marked = tf.stack([tf.reduce_any(features[name + PRESENT_SUFFIX]) for name in optional])
        wrong.append(marked & ~tf.stack([is_given[name] for name in optional]))
        rules += [f"{name}{PRESENT_SUFFIX} is true, but {name} is left out" for name in optional]
    broken = tf.concat(wrong, axis=0)
    check = tf.debugging.Assert(~tf.reduce_any(broken), [tf.gather_nd(tf.constant(rules), tf.where(broken))])
    with tf.control_dependencies([check]):  # nothing reads an input before
        inputs = {name: tf.ensure_shape(values, [None]) for name, values in features.items()}
        lacking = tf.reshape(tf.where(given, 0, rows), [-1, 1])
    shapes = dict(zip(features, tf.unstack(lacking), strict=True))

    def filled(name: str, value: tf.Tensor | np.generic) -> tf.Tensor:
        return tf.concat([inputs[name], tf.fill(shapes[name], tf.cast(value, inputs[name].dtype))], axis=0)

    raw: Raw = {}
    for name, column in declaration.features.items():
        if column.optional:
            zero = tf.zeros([], inputs[name].dtype)
            raw[name] = to_sparse(filled(name, zero), filled(name + PRESENT_SUFFIX, is_given[name]))
        elif (default := live_default(declaration, name)) is not None:
            raw[name] = filled(name, default)
        else:
            raw[name] = inputs[name]
    return raw
