"""Removes what no run needs any more: old artifacts from the disk and, as deleted, from ML Metadata."""

import shutil
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2
from tfx.components.evaluator.constants import ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY
from tfx.orchestration import metadata
from tfx.types.standard_artifacts import ModelBlessing


def remove_old_artifacts(database: Path, directory: Path, keep: int) -> int:
    """Keeps the artifacts of the last `keep` runs that pushed a model and of all runs since, the models that theirs
    were compared with, and the blessings of all these; removes all others, among them what killed runs left unfinished.

    Args:
      database: ML Metadata's SQLite file.
      directory: Below which the artifacts are: `<component>/<output>/<execution>`.
      keep: How many runs, the last one included.

    Returns:
      How many artifact directories were removed.
    """
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(str(database))) as handle:
        store = handle.store
        runs = sorted(store.get_contexts_by_type("pipeline_run"), key=lambda run: run.id, reverse=True)
        kept: set[int] = set()
        pushed = 0
        for run in runs:
            artifacts = store.get_artifacts_by_context(run.id)
            kept |= {artifact.id for artifact in artifacts}
            pushed += any(artifact.type == "PushedModel" for artifact in artifacts)
            if pushed == keep:
                break
        live = [artifact for artifact in store.get_artifacts() if artifact.state == metadata_store_pb2.Artifact.LIVE]
        kept |= {artifact.id for artifact in live if _blessed_model(artifact) in kept}
        uris = {artifact.id: artifact.uri for artifact in live}
        old = [artifact for artifact in live if artifact.id not in kept]
        for artifact in old:
            artifact.state = metadata_store_pb2.Artifact.DELETED
        if old:
            store.put_artifacts(old)
    needed = {Path(uri) for artifact_id, uri in uris.items() if artifact_id in kept}
    removed = 0
    for path in directory.glob("*/*/*"):
        if path.is_dir() and path.parent.name != ".system" and path not in needed:
            shutil.rmtree(path)
            removed += 1
    return removed


def _blessed_model(artifact: metadata_store_pb2.Artifact) -> int | None:
    """The model that a blessing is for; None if the artifact is no blessing."""
    if artifact.type != ModelBlessing.TYPE_NAME:
        return None
    return int(artifact.custom_properties[ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY].int_value)
