"""The fingerprint of live features in a Parquet file, so that those of another declaration are not taken for them."""

import pyarrow as pa

from modules.spec import Declaration, InputError

_KEY = b"twinbeam.features"


def stamped(schema: pa.Schema, declaration: Declaration) -> pa.Schema:
    """The schema with the declaration's features fingerprint in its metadata."""
    return schema.with_metadata({**(schema.metadata or {}), _KEY: declaration.features_fingerprint.encode()})


def check(path: str, schema: pa.Schema, declaration: Declaration) -> None:
    """Refuses a file whose live features are not the declared ones.

    Args:
      path: The file, for the error.
      schema: Its schema, with metadata.
      declaration: What it is read for.

    Raises:
      InputError: The file has no fingerprint, or another.
    """
    found, declared = (schema.metadata or {}).get(_KEY), declaration.features_fingerprint
    if found is None:
        raise InputError(f"{path}: holds no fingerprint of live features. Write it again with this release.")
    if found.decode() != declared:
        raise InputError(
            f"{path}: its live features have the fingerprint {found.decode()[:12] or '(none)'}, those of the "
            f"declaration {declared[:12] or '(none)'}. Write it again with this declaration."
        )
