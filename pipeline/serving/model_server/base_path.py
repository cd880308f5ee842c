"""Which versions of a model its base path offers, by the policy of its configuration."""

import functools
import logging
import re
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

_log = logging.getLogger(__name__)

_VERSION = re.compile(r"[ \t]*[+-]?[0-9]+[ \t]*")
_SHARD = re.compile(r"variables\.data-\d{5}-of-(\d{5})")
_SAVED_MODEL = "saved_model.pb"
_MODEL_FILES = (_SAVED_MODEL, "saved_model.pbtxt", "saved_model.cpb")
_TFLITE_FILE = "model.tflite"


def aspired_versions(base_path: Path, policy: Any) -> dict[int, Path]:
    """The directories to serve, by version.

    A directory counts if its name is a number, zeros in front or not. One that is still being written is left aside: it
    has no model file yet, or lacks an index or shards of variables that it has begun to hold or
    that the model restores.

    Args:
      base_path: The parent of the versions.
      policy: A ServableVersionPolicy; without a choice it is the latest one.

    Raises:
      OSError: The base path cannot be read.
    """
    found: dict[int, Path] = {}
    for child in sorted(base_path.iterdir()):
        if not _VERSION.fullmatch(child.name) or not -(2**63) <= int(child.name) < 2**63:
            continue
        if not _complete(child):
            continue
        if (other := found.get(int(child.name))) is not None:
            _log.warning(
                "Duplicate version directories detected. Version %d will be loaded from %s, %s will be ignored.",
                int(child.name), child.name, other.name,
            )  # fmt: skip
        found[int(child.name)] = child
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return found
    if choice == "specific":
        return {version: found[version] for version in policy.specific.versions if version in found}
    latest = sorted(found, reverse=True)[: max(policy.latest.num_versions, 1)]
    return {version: found[version] for version in latest}


def _complete(directory: Path) -> bool:
    try:
        if not any((directory / name).is_file() for name in (*_MODEL_FILES, _TFLITE_FILE)):
            return False
        variables = directory / "variables"
        names = {entry.name for entry in variables.iterdir()} if variables.is_dir() else set()
        if not names and (model := directory / _SAVED_MODEL).is_file():
            state = model.stat()
            return not _restores(model, state.st_mtime_ns, state.st_size)
    except OSError:
        return False
    shards = [int(match[1]) for match in map(_SHARD.fullmatch, names) if match]
    return not names or ("variables.index" in names and bool(shards) and len(shards) == shards[0])


@functools.lru_cache(maxsize=1024)
def _restores(saved_model: Path, modified_ns: int, size: int) -> bool:
    """Whether a model restores variables when it is loaded; what is no model is left to the loader, which says so.

    It is asked at each look, and reads the file again only once that has another time or size.
    """
    try:
        read = saved_model_pb2.SavedModel.FromString(saved_model.read_bytes())
    except DecodeError:
        return False
    return any(meta_graph.HasField("saver_def") for meta_graph in read.meta_graphs)
