"""What a model was made with: digests that it carries, as its training data do, and that can be computed again."""

import hashlib
from pathlib import Path

from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_metadata.proto.v0 import schema_pb2

from modules.spec import Declaration

_SAVED_MODEL, _RAW_SCHEMA = "transform_fn", "metadata/schema.pbtxt"


def fingerprints(schema: schema_pb2.Schema, graph: str, declaration: Declaration) -> dict[str, str]:
    """What transformed examples and a model say of their making, by name.

    Args:
      schema: The curated one, or as much of it as Transform was given.
      graph: The directory of the transform graph's SavedModel.
      declaration: Its features are the model's.
    """
    return {
        "schema_fingerprint": _of_schema(schema, declaration),
        "transform_fingerprint": _of_transform(Path(graph)),
    }


def raw_schema(transform_graph: Path) -> schema_pb2.Schema:
    """The schema of the features that a transform graph takes."""
    return text_format.Parse((transform_graph / _RAW_SCHEMA).read_text(), schema_pb2.Schema())


def saved_graph(transform_graph: Path) -> str:
    """The SavedModel in Transform's directory."""
    return str(transform_graph / _SAVED_MODEL)


def _of_schema(schema: schema_pb2.Schema, declaration: Declaration) -> str:
    """sha256 of what a schema says of the model's features, in whatever order they stand there."""
    named = {feature.name: feature for feature in schema.feature}
    rest = schema_pb2.Schema()
    rest.CopyFrom(schema)
    del rest.feature[:]
    rest.feature.extend(named[name] for name in sorted(declaration.features) if name in named)
    return hashlib.sha256(rest.SerializeToString(deterministic=True)).hexdigest()


def _of_transform(directory: Path) -> str:
    """sha256 of a transform graph's operations, functions and vocabularies."""
    saved = saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes()).meta_graphs[0]
    digest = hashlib.sha256(saved.graph_def.SerializeToString(deterministic=True))
    for path in sorted((directory / "assets").glob("*")):
        content = path.read_bytes()
        digest.update(f"{len(path.name)}:{path.name}{len(content)}:".encode() + content)
    return digest.hexdigest()
