"""An export in the TensorFlow of the deployed release of TensorFlow Serving, in an environment of its own."""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from modules.spec import PRESENT_SUFFIX
from tests.artifacts import artifact, eval_columns, taxi
from tests.conftest import ROOT
from tests.deploy.deployed import serving_release
from tests.modules.test_export import examples, named

pytestmark = pytest.mark.slow

UNREACHABLE = ("Failed to fetch", "error sending request", "Request failed after", "network was disabled", "dns error")
"""What uv says where there is no package index."""


@pytest.fixture(scope="module")
def other_python() -> Iterator[Path]:
    """The Python of an environment with nothing but the release's TensorFlow."""
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    with tempfile.TemporaryDirectory() as directory:
        python = Path(directory, "bin", "python")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, directory], check=True, timeout=60)
        install = [uv, "pip", "install", "--quiet", "--python", str(python), f"tensorflow-cpu=={serving_release()}"]
        done = subprocess.run(install, capture_output=True, text=True, check=False, timeout=900)
        if any(words in done.stderr for words in UNREACHABLE):
            pytest.skip(f"TensorFlow {serving_release()} cannot be had: {done.stderr.strip().splitlines()[-1].strip()}")
        assert done.returncode == 0, done.stderr
        yield python


@pytest.fixture(scope="module")
def inputs(taxi_run: Path) -> dict[str, tf.Tensor]:
    """The rows that the Evaluator judged, as `serving_default` takes them."""
    return named(taxi(), eval_columns(taxi_run, list(taxi().features)))


@pytest.fixture(scope="module")
def found(
    taxi_run: Path, inputs: dict[str, tf.Tensor], other_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What that TensorFlow makes of the export."""
    directory = tmp_path_factory.mktemp("scores")
    columns = {name: [_plain(value) for value in column.numpy().tolist()] for name, column in inputs.items()}
    serialized = examples(taxi(), eval_columns(taxi_run, list(taxi().features)))
    rows = {"inputs": columns, "examples": [base64.b64encode(each).decode() for each in serialized]}
    (directory / "rows.json").write_text(json.dumps(rows))
    script = ROOT / "tests" / "deploy" / "score_in_release.py"
    model = taxi_run / "serving_model" / "taxi" / "1"
    command = [
        str(each) for each in (other_python, "-I", script, model, directory / "rows.json", directory / "scores.json")
    ]
    env = {"PATH": os.environ["PATH"], "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads((directory / "scores.json").read_text())
    assert result["version"] == serving_release() != tf.__version__
    return result


def test_both_signatures_give_the_bits_that_were_judged(found: dict[str, Any], taxi_run: Path) -> None:
    judged = (
        pq.read_table(artifact(taxi_run, "Evaluator", "evaluation") / "scores")["score"].combine_chunks().to_numpy()
    )
    assert len(judged) == 3001
    assert judged.dtype == np.float32
    assert found["serving_default"] == judged.tobytes().hex()
    assert found["serving_examples"] == judged.tobytes().hex()


def test_the_signature_keeps_what_may_be_left_out(
    found: dict[str, Any], taxi_run: Path, inputs: dict[str, tf.Tensor]
) -> None:
    declaration = taxi()
    optional = {name for name, column in declaration.features.items() if column.optional}
    left_out = optional | {name + PRESENT_SUFFIX for name in optional} | set(declaration.live_features)
    assert found["defaults"].keys() == left_out
    assert all(shape == [0] for _, shape in found["defaults"].values())
    signature = tf.saved_model.load(str(taxi_run / "serving_model" / "taxi" / "1")).signatures["serving_default"]
    specs = signature.structured_input_signature[1]
    given = {name: tf.constant([], specs[name].dtype) if name in left_out else inputs[name] for name in specs}
    here = signature(**given)["score"].numpy()
    assert found["required_alone"] == here.tobytes().hex() != found["serving_default"]


def test_the_model_says_on_which_live_features_it_was_trained(found: dict[str, Any]) -> None:
    assert found["features_fingerprint"] == taxi().features_fingerprint


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
