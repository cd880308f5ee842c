"""The Pusher's executor on directories of its own: what it pushes, what it does not, and what it says."""

import json
from pathlib import Path

import pytest
from google.protobuf import json_format
from tfx.components.evaluator.constants import ARTIFACT_PROPERTY_BLESSED_KEY
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts

from modules.spec import NotBlessedError
from pipeline.components.evaluator import MISSED_PROPERTY
from pipeline.components.pusher import PROVENANCE_FILE, VERSION_PROPERTY, Executor
from tests.pipeline.cli.trips import tree


@pytest.fixture
def serving(tmp_path: Path) -> Path:
    return tmp_path / "serving"


def push(tmp_path: Path, content: str, run: str, missed: str = "") -> str:
    """Pushes a model that consists of one text; the version that the artifact names."""
    model = standard_artifacts.Model()
    model.uri = str(tmp_path / f"model-{content}")
    saved = Path(model.uri, "Format-Serving")
    (saved / "assets.extra").mkdir(parents=True, exist_ok=True)
    (saved / "saved_model.pb").write_text(content)
    blessing = standard_artifacts.ModelBlessing()
    blessing.set_int_custom_property(ARTIFACT_PROPERTY_BLESSED_KEY, 0 if missed else 1)
    blessing.set_string_custom_property(MISSED_PROPERTY, missed)
    pushed = standard_artifacts.PushedModel()
    filesystem = pusher_pb2.PushDestination.Filesystem(base_directory=str(tmp_path / "serving"))
    Executor().Do(
        {"model": [model], "model_blessing": [blessing]},
        {"pushed_model": [pushed]},
        {
            "push_destination": json_format.MessageToJson(pusher_pb2.PushDestination(filesystem=filesystem)),
            "custom_config": json.dumps({"run_id": run}),
        },
    )
    return str(pushed.get_string_custom_property(VERSION_PROPERTY))


def test_versions_follow_each_other_and_say_what_made_them(tmp_path: Path, serving: Path) -> None:
    assert [push(tmp_path, content, run) for content, run in (("a", "first"), ("b", "second"))] == ["1", "2"]
    for version, content, run in (("1", "a", "first"), ("2", "b", "second")):
        assert (serving / version / "saved_model.pb").read_text() == content
        assert json.loads((serving / version / "assets.extra" / PROVENANCE_FILE).read_text()) == {"run_id": run}
    assert {path.name for path in serving.iterdir()} == {"1", "2"}


def test_the_model_that_is_newest_already_is_not_pushed_twice(tmp_path: Path, serving: Path) -> None:
    push(tmp_path, "a", "first")
    before = tree(serving)
    assert push(tmp_path, "a", "second") == "1"
    assert tree(serving) == before  # its provenance too is that of its making


def test_an_older_model_is_pushed_again(tmp_path: Path) -> None:
    assert [push(tmp_path, content, "run") for content in ("a", "b", "a")] == ["1", "2", "3"]


def test_a_withheld_blessing(tmp_path: Path, serving: Path) -> None:
    with pytest.raises(
        NotBlessedError, match=r"was not pushed: auc is 0\.6, and must be at least 0\.7\. Improve it, or"
    ):
        push(tmp_path, "a", "run", missed="auc is 0.6, and must be at least 0.7")
    assert not serving.exists()
