from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import file_system_storage_path_source_pb2

from pipeline.serving.model_server.base_path import aspired_versions

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


def test_two_directories_of_one_version(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    version(tmp_path / "007")
    version(tmp_path / "7")
    assert found(tmp_path) == {7: "7"}
    assert "Duplicate version directories detected. Version 7 will be loaded from 7, 007 will be ignored" in caplog.text


def test_no_base_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        found(tmp_path / "nowhere")
