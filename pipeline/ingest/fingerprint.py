"""What a Parquet file says of its making, so that one of another declaration is not taken for it."""

from collections.abc import Mapping

import pyarrow as pa

from modules.spec import Declaration, InputError

_PREFIX, _FEATURES = b"twinbeam.", "features"


def stamped(schema: pa.Schema, declaration: Declaration, made_with: Mapping[str, str] | None = None) -> pa.Schema:
    """The schema with the declaration's features fingerprint in its metadata, and with other fingerprints by name."""
    stamps = {_FEATURES: declaration.features_fingerprint, **(made_with or {})}
    own = {_PREFIX + name.encode(): value.encode() for name, value in stamps.items()}
    return schema.with_metadata({**(schema.metadata or {}), **own})


def said(schema: pa.Schema) -> dict[str, str]:
    """All fingerprints in a schema's metadata, by name."""
    found = [(name, value) for name, value in (schema.metadata or {}).items() if name.startswith(_PREFIX)]
    return {name.removeprefix(_PREFIX).decode(): value.decode() for name, value in found}


def check(path: str, schema: pa.Schema, declaration: Declaration) -> None:
    """Refuses a file whose live features are not the declared ones.

    Args:
      path: The file, for the error.
      schema: Its schema, with metadata.
      declaration: What it is read for.

    Raises:
      InputError: The file has no fingerprint, or another.
    """
    found, declared = said(schema).get(_FEATURES), declaration.features_fingerprint
    if found is None:
        raise InputError(f"{path}: holds no fingerprint of live features. Write it again with this release.")
    if found != declared:
        raise InputError(
            f"{path}: its live features have the fingerprint {found[:12] or '(none)'}, those of the "
            f"declaration {declared[:12] or '(none)'}. Write it again with this declaration."
        )
