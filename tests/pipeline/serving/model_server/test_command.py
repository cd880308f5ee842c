"""The command as a process: what it prints, and how it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from pipeline.serving.model_server.flags import Flags
from tests.conftest import ROOT
from tests.pipeline.serving.model_server.serving import Client, config, eventually, write
from tests.pipeline.stores.servers import free_port

COMMAND = [sys.executable, "-m", "pipeline.cli.model_server"]
ENV = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}


LISTING = [
    sys.executable,
    "-c",
    "import atexit, sys; from pipeline.cli.model_server import app; "
    "atexit.register(lambda: print(*sys.modules)); app()",
]
"""The command, which at its end prints what it has imported."""


def run(*arguments: str, program: list[str] = COMMAND) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*program, *arguments], env=ENV, capture_output=True, text=True, check=False, timeout=120)


def test_version_and_help_do_not_load_tensorflow() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["TensorFlow ModelServer", "TensorFlow Library"]
    done = run("--help", program=LISTING)
    assert (done.returncode, done.stdout[:7]) == (255, "usage: ")
    assert "tensorflow" not in done.stdout.splitlines()[-1].split()


def test_a_config_that_cannot_be_read_ends_it_and_tfx_is_never_loaded(tmp_path: Path) -> None:
    file = write(tmp_path / "models", "model_config_list {\n  improper\n}")
    done = run(f"--model_config_file={file}", program=LISTING)
    assert done.returncode == 255
    message, loaded = done.stdout.splitlines()
    assert message == f"Failed to start server. Error: INVALID_ARGUMENT: Invalid protobuf file: '{file}'"
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig: 2:3: " in done.stderr
    assert "tensorflow" in loaded.split()
    assert not {"tfx", "apache_beam", "tensorflow_transform"} & set(loaded.split())


def test_from_start_to_sigterm(saved: Path, tmp_path: Path) -> None:
    port, rest = free_port(), free_port()
    models = write(tmp_path / "models", config(f'name: "m" base_path: "{saved}/old_linear"'))
    arguments = [
        f"--model_config_file={models}",
        f"--port={port}",
        f"--rest_api_port={rest}",
        "--skip_initialize_tpu",
        "what",
    ]
    with (tmp_path / "err").open("w") as err:
        process = subprocess.Popen([*COMMAND, *arguments], env=ENV, stdout=subprocess.PIPE, stderr=err, text=True)
    client = Client(None, Flags(port=port, rest_api_port=rest))  # type: ignore[arg-type]

    def ready() -> bool:
        try:
            return client.states("m") == {123: "AVAILABLE"}
        except OSError:
            assert process.poll() is None
            return False

    eventually(ready, within_s=100)
    assert client.post("m:predict", {"instances": [2]}) == (200, {"predictions": [3.0]})
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out.startswith("unknown argument: what\nusage: ")
    assert "--skip_initialize_tpu is accepted and does nothing here" in (tmp_path / "err").read_text()
