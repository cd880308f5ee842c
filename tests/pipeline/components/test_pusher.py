"""The Pusher's executor on directories of its own: what it pushes, what it does not, and what it says."""

import json
from pathlib import Path

import pytest
from google.protobuf import json_format
from pydantic import TypeAdapter
from tfx.components.evaluator.constants import ARTIFACT_PROPERTY_BLESSED_KEY
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts

from modules.spec import NotBlessedError, ParityError
from pipeline.components.evaluator import MISSED_PROPERTY
from pipeline.components.parity_gate import CHECKS_FILE
from pipeline.components.pusher import PROVENANCE_FILE, VERSION_PROPERTY, Executor
from pipeline.parity.check import Check, Difference
from tests.pipeline.cli.trips import tree


@pytest.fixture
def serving(tmp_path: Path) -> Path:
    return tmp_path / "serving"


def push(tmp_path: Path, content: str, run: str, missed: str = "", failed: tuple[Check, ...] = ()) -> str:
    """Pushes a model that consists of one text; the version that the artifact names."""
    model = standard_artifacts.Model()
    model.uri = str(tmp_path / f"model-{content}")
    saved = Path(model.uri, "Format-Serving")
    (saved / "assets.extra").mkdir(parents=True, exist_ok=True)
    (saved / "saved_model.pb").write_text(content)
    blessing = standard_artifacts.ModelBlessing()
    blessing.set_int_custom_property(ARTIFACT_PROPERTY_BLESSED_KEY, 0 if missed else 1)
    blessing.set_string_custom_property(MISSED_PROPERTY, missed)
    parity = standard_artifacts.InfraBlessing()
    parity.uri = str(tmp_path / "parity")
    Path(parity.uri).mkdir(exist_ok=True)
    Path(parity.uri, CHECKS_FILE).write_bytes(TypeAdapter(tuple[Check, ...]).dump_json(failed))
    parity.set_int_custom_property("blessed", 0 if failed else 1)
    pushed = standard_artifacts.PushedModel()
    filesystem = pusher_pb2.PushDestination.Filesystem(base_directory=str(tmp_path / "serving"))
    Executor().Do(
        {"model": [model], "model_blessing": [blessing], "infra_blessing": [parity]},
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


def test_a_difference_between_training_and_serving(tmp_path: Path, serving: Path) -> None:
    bits = ("0000000000000003", "0000000000000004")
    times = [1_400_000_047_000_000 + number for number in range(5)]
    differences = tuple(Difference("trips_6h", {"area": "8"}, time, "3", "4", *bits) for time in times)
    failed = Check("live features", False, 70, 12, "70 values compared, 12 differ: trips_6h (12).", differences)
    passed = Check("scores", True, 7, 0, "7 values compared, none differs.")
    with pytest.raises(ParityError) as refused:
        push(tmp_path, "a", "run", failed=(failed, passed))
    first, check, *shown, last = str(refused.value).splitlines()
    assert first == "training and serving do not agree, and the model was not pushed."
    assert check == "live features: 70 values compared, 12 differ: trips_6h (12)."
    assert len(shown) == 3
    assert shown[0] == (
        "  trips_6h of area=8 at 2014-05-13T16:54:07.000000Z: expected 3 (0000000000000003), found 4 (0000000000000004)"
    )
    assert last == f"All of it is in {tmp_path}/parity/checks.json; docs/gate.md says what to do."
    assert not serving.exists()
