import shutil
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import file_system_storage_path_source_pb2

from pipeline.serving.model_server.base_path import aspired_versions
from tests.pipeline.serving.model_server import models
from tests.pipeline.serving.model_server.serving import floats, running

POLICY = file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy


def version(path: Path, *files: str) -> Path:
    for name in files or ("saved_model.pb",):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).touch()
    return path


def found(base: Path, policy: str = "") -> dict[int, str]:
    versions = aspired_versions(base, text_format.Parse(policy, POLICY()))
    return {number: path.name for number, path in versions.items()}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", {10: "10"}),
        ("latest { num_versions: 2 }", {10: "10", 9: "009"}),
        ("latest { num_versions: 0 }", {10: "10"}),
        ("all { }", {1: "1", 9: "009", 10: "10"}),
        ("specific { versions: [1, 9, 7] }", {1: "1", 9: "009"}),
        ("specific { }", {}),
    ],
)
def test_policies(tmp_path: Path, policy: str, expected: dict[int, str]) -> None:
    for name in ("1", "009", "10", "tmp", ".pushing-11", "1.5", "x12", str(2**63)):
        version(tmp_path / name)
    (tmp_path / "11").touch()  # a file
    assert found(tmp_path, policy) == expected


@pytest.mark.parametrize(
    ("files", "complete"),
    [
        (["saved_model.pb"], True),
        (["saved_model.pbtxt"], True),
        (["model.tflite"], True),
        (["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"], True),
        (["saved_model.pb", "variables/variables.data-00000-of-00001"], False),
        (["saved_model.pb", "variables/variables.index"], False),
        (["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00002"], False),
        (["variables/variables.index", "variables/variables.data-00000-of-00001"], False),
    ],
)
def test_a_version_that_is_still_being_written(tmp_path: Path, files: list[str], complete: bool) -> None:
    version(tmp_path / "1")
    version(tmp_path / "2", *files)
    assert found(tmp_path) == ({2: "2"} if complete else {1: "1"})


@pytest.mark.parametrize("model", ["linear", "old_linear", "keras_model"])
def test_a_version_whose_variables_come_last(
    tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    (source,) = (saved / model).iterdir()
    version(tmp_path / "1")
    (tmp_path / "2").mkdir()
    shutil.copy(source / "saved_model.pb", tmp_path / "2")
    assert found(tmp_path) == {1: "1"}
    (tmp_path / "2" / "variables").mkdir()
    with monkeypatch.context() as patch:  # the file is as it was, so it is not read again
        patch.setattr(Path, "read_bytes", None)
        assert found(tmp_path) == {1: "1"}
    shutil.copytree(source / "variables", tmp_path / "2" / "variables", dirs_exist_ok=True)
    assert found(tmp_path) == {2: "2"}


def test_a_model_without_variables_needs_none(tmp_path: Path) -> None:
    models.stateless(tmp_path / "1")
    (tmp_path / "1" / "variables").rmdir()
    assert found(tmp_path) == {1: "1"}
    with running(model_name="m", model_base_path=str(tmp_path), rest_api_port=0) as client:
        assert client.predict("m", x=floats(2)).outputs["y"].float_val[:] == [4.0]


def test_two_directories_of_one_version(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    version(tmp_path / "007")
    version(tmp_path / "7")
    assert found(tmp_path) == {7: "7"}
    assert "Duplicate version directories detected. Version 7 will be loaded from 7, 007 will be ignored" in caplog.text


def test_no_base_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        found(tmp_path / "nowhere")
