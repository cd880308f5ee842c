"""Dead letters as sources, to be given to the store again as the events are declared now."""

from modules.live import entities
from modules.spec import Declaration
from pipeline.dead_letters import ReplayedLetters
from pipeline.live.columns import event_columns


def letter_sources(declaration: Declaration, directory: str) -> list[ReplayedLetters]:
    """The letters of each source that features are computed from."""
    declared = entities(declaration)
    sources = {entity.source.name: entity.source for entity in declared}
    return [
        ReplayedLetters(name, directory, event_columns(declaration, source, declared))
        for name, source in sources.items()
    ]
