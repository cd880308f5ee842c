"""The curated schema, `schema.pbtxt` beside the declaration: how it differs from data, and how it takes data in."""

from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx import types  # noqa: F401  (TFDV can only be imported after tfx)

import tensorflow_data_validation as tfdv  # isort: skip

from modules.spec import ROW_ID, Declaration, DeclarationError, OutputError

_HEADER = """# proto-file: tensorflow_metadata/proto/v0/schema.proto
# proto-message: Schema
"""

_ABSENT = "not in the schema"


def read_schema(path: Path) -> schema_pb2.Schema:
    """Reads the curated schema; an absent file is an empty schema.

    Raises:
      DeclarationError: The file is not a schema.
    """
    if not path.exists():
        return schema_pb2.Schema()
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), schema_pb2.Schema())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise DeclarationError(
            f"{path}: not a schema in text format: {error}. Mend it, or restore it from git."
        ) from None


def accept(
    schema: schema_pb2.Schema, statistics: list[statistics_pb2.DatasetFeatureStatisticsList], declaration: Declaration
) -> schema_pb2.Schema:
    """The schema, widened so that data with these statistics is valid, and shaped as the declaration says."""
    for split in statistics:
        schema = tfdv.update_schema(schema, split, infer_feature_shape=False)
    required = {declaration.label.name, *filter(None, [declaration.time])}
    required |= {name for name, column in declaration.features.items() if not column.optional}
    if ROW_ID not in {feature.name for feature in schema.feature}:
        schema.feature.add(name=ROW_ID, type=schema_pb2.BYTES)  # of which no statistics are taken
    for feature in schema.feature:
        feature.ClearField("value_count")
        if feature.name in required:
            feature.presence.min_fraction = 1.0
            feature.shape.CopyFrom(schema_pb2.FixedShape())  # a scalar
        elif feature.name != ROW_ID:
            feature.presence.CopyFrom(schema_pb2.FeaturePresence(min_count=1))
            feature.ClearField("shape")
    return without_live_features(schema, declaration)


def with_live_features(schema: schema_pb2.Schema, declaration: Declaration) -> schema_pb2.Schema:
    """The schema and what the declaration says of its live features: each is there in every row."""
    whole = without_live_features(schema, declaration)
    for name, live in declaration.live_features.items():
        kind = schema_pb2.INT if live.dtype == "int" else schema_pb2.FLOAT
        feature = whole.feature.add(name=name, type=kind, shape=schema_pb2.FixedShape())
        feature.presence.min_fraction, feature.presence.min_count = 1.0, 1
    return whole


def without_live_features(schema: schema_pb2.Schema, declaration: Declaration) -> schema_pb2.Schema:
    """The schema of the data's own columns."""
    own = schema_pb2.Schema()
    own.CopyFrom(schema)
    del own.feature[:]
    own.feature.extend(feature for feature in schema.feature if feature.name not in declaration.live_features)
    return own


def to_text(schema: schema_pb2.Schema) -> str:
    """The schema in text format."""
    return _HEADER + text_format.MessageToString(schema)


def write_schema(schema: schema_pb2.Schema, path: Path) -> None:
    """Replaces the schema at `path` at once.

    Raises:
      OutputError: It cannot be written; what was there is still there.
    """
    written = path.with_suffix(".tmp")
    try:
        written.write_text(to_text(schema), encoding="utf-8")
        written.replace(path)
    except OSError as error:
        written.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written: {error.strerror}. It is as it was.") from None


def differences(one: schema_pb2.Schema, other: schema_pb2.Schema) -> list[tuple[str, str, str]]:
    """(feature, what the one schema says, what the other says) wherever the two say something else."""
    rows = []
    ours, theirs = ({feature.name: feature for feature in schema.feature} for schema in (one, other))
    for name in sorted((ours.keys() | theirs.keys()) - {ROW_ID}):
        here = _describe(ours[name], one) if name in ours else _ABSENT
        there = _describe(theirs[name], other) if name in theirs else _ABSENT
        if here != there:
            rows.append((name, here, there))
    return rows


def _describe(feature: schema_pb2.Feature, schema: schema_pb2.Schema) -> str:
    parts = [schema_pb2.FeatureType.Name(feature.type).lower()]
    parts.append("in every row" if feature.presence.min_fraction == 1 else "optional")
    domains = {domain.name: domain for domain in schema.string_domain}
    domain = domains.get(feature.domain) if feature.domain else feature.string_domain
    if domain and domain.value:
        parts.append(f"one of {len(domain.value)} values")
    for bounds in (feature.int_domain, feature.float_domain):
        if bounds.HasField("min") or bounds.HasField("max"):
            low = f"{bounds.min:g}" if bounds.HasField("min") else "-inf"
            high = f"{bounds.max:g}" if bounds.HasField("max") else "inf"
            parts.append(f"in [{low}, {high}]")
    return ", ".join(parts)
