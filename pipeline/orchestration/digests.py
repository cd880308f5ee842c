"""Digests of what a run is made of: sha256, hexadecimal."""

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

import modules
from pipeline.ingest.files import content_of

ROOT = Path(modules.__file__).parent.parent
"""The directory that holds modules/, pipeline/ and, in a checkout, uv.lock."""


def code_digest() -> str:
    """Of all our code, the lock of its dependencies, and the Python that runs it."""
    sources = sorted(path for package in ("modules", "pipeline") for path in (ROOT / package).rglob("*.py"))
    lock = ROOT / "uv.lock"
    return digest([sys.version, *(_named(path) for path in [*sources, *([lock] if lock.exists() else [])])])


def _named(path: Path) -> str:
    return f"{path.relative_to(ROOT)}:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def content_digest(paths: Iterable[str]) -> str:
    """Of the files' content and order, whatever their names."""
    return digest(map(content_of, paths))


def digest(parts: Iterable[str]) -> str:
    """Of texts in their order; each is hashed with its length, so that no two lists of texts run together."""
    whole = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        whole.update(b"%d:%b" % (len(encoded), encoded))
    return whole.hexdigest()
