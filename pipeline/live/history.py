"""Which files hold the history of each source of events."""

from collections.abc import Mapping, Sequence

from modules.spec import Declaration, DeclarationError, InputError
from pipeline.ingest.files import InputFile, find_files


def event_files(declaration: Declaration, given: Mapping[str, Sequence[str]]) -> list[tuple[str, InputFile]]:
    """The files of each source from which features are computed, with its name, in the order of their paths.

    Args:
      declaration: The features.
      given: Where a source's events are: files, directories, globs. A source that is left out has those of its `batch`,
        or the dataset's `data`.

    Raises:
      DeclarationError: There are no live features.
      InputError: There is no such source, or nothing where its events should be.
    """
    if declaration.live is None:
        raise DeclarationError("live: there are no live features to compute. Declare one under live.features.")
    sources = declaration.live.sources
    for name in given:
        if name not in sources:
            raise InputError(f"--events {name}: there is no such source. Declared are {', '.join(sources)}.")
    found: list[tuple[str, InputFile]] = []
    for name in dict.fromkeys(feature.source for feature in declaration.live_features.values()):
        places = given.get(name) or [sources[name].batch or declaration.data]
        named = f"--events {name}=PATH, or in the declaration"
        files = {file for place in places for file in find_files(place, declaration.spans, declaration.until, named)}
        found += [(name, file) for file in sorted(files, key=lambda file: file.path)]
    return found
