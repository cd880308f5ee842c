"""Artifacts within reach of Beam's workers: those on other machines work on copies in a bucket."""

import contextlib
import uuid
from collections.abc import Iterator, Sequence

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from pipeline.ingest.files import copy_below, is_remote, remove_below

_copies: dict[str, str] = {}
"""Where the artifacts of this machine are in a bucket, so that the next component need not copy them again."""


@contextlib.contextmanager
def within_reach(beam_args: Sequence[str], inputs: Sequence[str], outputs: Sequence[str]) -> Iterator[list[str]]:
    """Where workers find inputs and leave outputs, in that order.

    Without a `temp_location` in a bucket they are on this machine. With one, inputs are copied there before, and
    outputs from there afterwards, if nothing failed.

    Args:
      beam_args: Beam's arguments.
      inputs: Directories with all that they will hold.
      outputs: Directories.
    """
    temporary = PipelineOptions(list(beam_args)).view_as(GoogleCloudOptions).temp_location or ""
    if not is_remote(temporary):
        yield [*inputs, *outputs]
        return
    for here in inputs:
        if here not in _copies:
            there = _new(temporary)
            copy_below(here, there)
            _copies[here] = there
    made = {here: _new(temporary) for here in outputs}
    _copies.update(made)
    yield [_copies[here] for here in (*inputs, *outputs)]
    for here, there in made.items():
        copy_below(there, here)


def remove_copies() -> None:
    """Removes what `within_reach` has left in buckets."""
    for there in _copies.values():
        remove_below(there)
    _copies.clear()


@contextlib.contextmanager
def scratch_in(place: str) -> Iterator[str]:
    """A place to work in below another, which is no part of what is there, and removed at the end."""
    scratch = f"{place}/.scratch-{uuid.uuid4().hex}"
    try:
        yield scratch
    finally:
        remove_below(scratch)


def _new(temporary: str) -> str:
    return FileSystems.join(temporary, "artifacts", uuid.uuid4().hex)
