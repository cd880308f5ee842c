"""Pusher: a model that is blessed twice, as good and as served, becomes the next version; else the run ends."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfx import types
from tfx.components.evaluator.constants import ARTIFACT_PROPERTY_BLESSED_KEY, BLESSED_VALUE
from tfx.components.pusher.component import Pusher as StockPusher
from tfx.dsl.components.base import base_executor, executor_spec
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils
from tfx.utils import path_utils, proto_utils

from modules.spec import NotBlessedError, ParityError
from pipeline.components.evaluator import MISSED_PROPERTY
from pipeline.components.parity_gate import BLESSED, BLESSED_PROPERTY, CHECKS_FILE, read_checks
from pipeline.serving import bucket
from pipeline.serving.versions import push, versions

VERSION_PROPERTY = "pushed_version"
"""The pushed model's property with its version; the name that TFX gives it."""

PROVENANCE_FILE = "provenance.json"
"""In the pushed model's assets.extra: what made it."""


_SHOWN = 3
"""How many differences of a check the message shows."""


class Executor(base_executor.BaseExecutor):
    """The stock one copies file by file, names versions by the second, and calls a withheld push a success.

    A model that the newest version already holds is not pushed again.
    """

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        blessing = artifact_utils.get_single_instance(input_dict["model_blessing"])
        if blessing.get_int_custom_property(ARTIFACT_PROPERTY_BLESSED_KEY) != BLESSED_VALUE:
            missed = blessing.get_string_custom_property(MISSED_PROPERTY)
            raise NotBlessedError(
                f"the model is not good enough and was not pushed: {missed}. "
                "Improve it, or change evaluation.thresholds in the declaration."
            )
        parity = artifact_utils.get_single_instance(input_dict["infra_blessing"])
        if parity.get_int_custom_property(BLESSED_PROPERTY) != BLESSED:
            raise ParityError(_refusal(parity.uri))
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties["push_destination"], destination)
        base = destination.filesystem.base_directory
        model = artifact_utils.get_single_instance(input_dict["model"])
        provenance = json.loads(exec_properties["custom_config"])

        def complete(copy: Path) -> None:
            (copy / "assets.extra" / PROVENANCE_FILE).write_text(json.dumps(provenance, indent=2))

        saved = Path(path_utils.serving_model_path(model.uri))
        if base.startswith(bucket.SCHEME):
            version = bucket.push(saved, base, complete, PROVENANCE_FILE)
        else:
            version = _push(saved, Path(base), complete)
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        pushed.set_string_custom_property("pushed_destination", f"{base}/{version}")
        pushed.set_string_custom_property(VERSION_PROPERTY, str(version))


def _refusal(uri: str) -> str:
    """What differs between training and serving, in words."""
    failed = [check for check in read_checks(uri) if not check.passed]
    lines = ["training and serving do not agree, and the model was not pushed."]
    for check in failed:
        lines.append(f"{check.name}: {check.sentence}")
        for difference in check.differences[:_SHOWN]:
            more = (difference.events, difference.explain)
            lines += [f"  {difference}", *(f"    {each}" for each in more if each)]
    return "\n".join([*lines, f"All of it is in {Path(uri, CHECKS_FILE)}; docs/gate.md says what to do."])


def _push(saved: Path, base: Path, complete: Callable[[Path], None]) -> int:
    found = versions(base)
    same = found and _content(base / str(found[-1])) == _content(saved)
    return found[-1] if same else push(saved, base, complete)


def _content(directory: Path) -> dict[str, bytes]:
    """The files of a SavedModel, its provenance left out."""
    files = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if path.name != PROVENANCE_FILE}


class Pusher(StockPusher):
    """Pushes `model` into the next version below `base`, if both blessings say so."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        infra_blessing: types.BaseChannel,
        base: str,
        provenance: dict[str, str],
    ) -> None:
        filesystem = pusher_pb2.PushDestination.Filesystem(base_directory=base)
        super().__init__(
            model=model,
            model_blessing=model_blessing,
            infra_blessing=infra_blessing,
            push_destination=pusher_pb2.PushDestination(filesystem=filesystem),
            custom_config=provenance,
        )
