"""Scores rows with an exported model as TensorFlow Serving does. Run by the Python of another environment.

score_in_release.py MODEL_DIRECTORY INPUT.json OUTPUT.json: the input has `inputs`, the columns of `serving_default` by
name, and `examples`, the same rows as base64 texts; the output has TensorFlow's version, the signature's defaults, and
scores as the hexadecimal digits of their float32.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf


def main(model: str, given: str, output: str) -> None:
    """Loads the model by its graph alone, and scores."""
    rows = json.loads(Path(given).read_text())
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.loader.load(session, ["serve"], model)

        def score(signature: str, inputs: dict[str, Any]) -> str:
            found = loaded.signature_def[signature]
            fed = {found.inputs[name].name: value for name, value in inputs.items()}
            scores = session.run(found.outputs["score"].name, fed)
            assert scores.dtype == "float32", scores.dtype
            return str(scores.tobytes().hex())

        by_name = loaded.signature_def["serving_default"]
        defaults = {name: tf.make_ndarray(value) for name, value in by_name.defaults.items()}
        required = {name: value for name, value in rows["inputs"].items() if name not in defaults}
        fingerprint = loaded.signature_def["features_fingerprint"].outputs["features_fingerprint"].name
        result = {
            "version": tf.__version__,
            "git_version": tf.version.GIT_VERSION,
            "features_fingerprint": session.run(fingerprint).decode(),
            "defaults": {name: [str(value.dtype), list(value.shape)] for name, value in defaults.items()},
            "serving_default": score("serving_default", rows["inputs"]),
            "serving_examples": score(
                "serving_examples", {"examples": [base64.b64decode(each) for each in rows["examples"]]}
            ),
            "required_alone": score("serving_default", required | defaults),
        }
    Path(output).write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
