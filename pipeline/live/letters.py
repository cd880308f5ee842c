"""Dead letters as sources, to be given to the store again as the events are declared now."""

from modules.kernel.plan import named_sources
from modules.live import entities
from modules.spec import Declaration
from pipeline.dead_letters import ReplayedLetters
from pipeline.live.columns import event_columns


def letter_sources(declaration: Declaration, directory: str) -> list[ReplayedLetters]:
    """The letters of each source that features are computed from."""
    declared = entities(declaration)
    return [
        ReplayedLetters(name, directory, event_columns(declaration, source, declared))
        for name, source in named_sources(declared).items()
    ]
