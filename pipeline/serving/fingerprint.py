"""Whether a pushed model was trained on the features that a declaration has."""

from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from modules.raw_features import raw_dtype
from modules.spec import FINGERPRINT_SIGNATURE, Declaration, DeclarationError, NotFoundError
from pipeline.serving.signature import Signature


def check_model(directory: Path, declaration: Declaration) -> None:
    """Refuses a model of other features; nothing is loaded.

    Args:
      directory: A SavedModel.
      declaration: What is going to be looked up and scored.

    Raises:
      NotFoundError: There is no SavedModel, or no part of one that can be read.
      DeclarationError: The model takes other features, of other dtypes or optional where they are not, or was trained
        on live features of another fingerprint, or with other defaults.
    """
    mend = "Run `twinbeam run` with this declaration, or name the model's own with --features FILE."
    try:
        signature = Signature(str(directory))
        trained_on = fingerprints(directory)
    except (OSError, DecodeError, IndexError) as error:
        why = f"saved_model.pb cannot be read: {error}".rstrip(".")
        raise NotFoundError(f"{directory}: this is no model: {why}. Push one with `twinbeam run`.") from None
    except KeyError as error:
        raise DeclarationError(
            f"{directory}: the model has no signature {error.args[0]}, so nobody knows what it was trained on. {mend}"
        ) from None
    declared = {name: (raw_dtype(column).name, column.optional) for name, column in declaration.features.items()}
    taken = {name: (dtype.name, name in signature.optional) for name, dtype in signature.features.items()}
    for name in sorted(declared.keys() | taken.keys()):
        if declared.get(name) != taken.get(name):
            raise DeclarationError(
                f"{directory}: for {name} the model takes {_words(taken.get(name))}, and the declaration has "
                f"{_words(declared.get(name))}. {mend}"
            )
    if different := declaration.trained_otherwise(trained_on):
        raise DeclarationError(f"{directory}: the model {different}. {mend}")


def fingerprints(directory: Path) -> dict[str, str]:
    """What the model's signature `features_fingerprint` gives, by output.

    It depends on no variable, so that its graph alone is run.

    Raises:
      OSError: There is no SavedModel.
      DecodeError: Its file is broken.
      KeyError: It has no such signature.
    """
    saved = saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes()).meta_graphs[0]
    if FINGERPRINT_SIGNATURE not in saved.signature_def:  # a map of protobuf makes what it is asked for
        raise KeyError(FINGERPRINT_SIGNATURE)
    outputs = {name: output.name for name, output in saved.signature_def[FINGERPRINT_SIGNATURE].outputs.items()}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tensors = tf.import_graph_def(saved.graph_def, return_elements=list(outputs.values()), name="")
        return {name: found.decode() for name, found in zip(outputs, session.run(tensors), strict=True)}


def _words(feature: tuple[str, bool] | None) -> str:
    if feature is None:
        return "nothing"
    dtype, optional = feature
    return f"{dtype} that may be missing" if optional else dtype
