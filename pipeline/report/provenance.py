"""What the result was made of, enough to make it again."""

import dataclasses
import importlib.metadata
import platform

from pipeline.results.record import RunRecord

_PACKAGES = (
    "twinbeam",
    "tfx",
    "tensorflow",
    "keras",
    "apache-beam",
    "tensorflow-transform",
    "tensorflow-data-validation",
    "tensorflow-model-analysis",
    "ml-metadata",
    "numpy",
    "pyarrow",
    "protobuf",
)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One thing and what it was."""

    name: str
    value: str


def sources(record: RunRecord) -> tuple[Entry, ...]:
    """What went in, and the run that made it."""
    return (
        Entry("Data", record.data),
        Entry("Input digest", record.content),
        Entry("Code digest", record.code),
        Entry("Declaration fingerprint", record.declaration),
        Entry("Digest of all of these", record.digest),
        Entry("Seed", str(record.seed)),
        Entry("Run", record.run_id),
        Entry("Model", record.model),
    )


def versions() -> tuple[Entry, ...]:
    """Python, and the packages that are installed."""
    found = [Entry("python", platform.python_version())]
    for name in _PACKAGES:
        try:
            found.append(Entry(name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return tuple(found)
