"""The words of a declaration, and the way in: `load_declaration`."""

from modules.spec.columns import Column
from modules.spec.declaration import PRESENT_SUFFIX, ROW_ID, Declaration
from modules.spec.errors import (
    AnomalyError,
    BusyError,
    DeclarationError,
    InputError,
    NotBlessedError,
    NotFoundError,
    OutputError,
    TwinbeamError,
)
from modules.spec.split import EVAL, SPLITS, TRAIN, VALIDATION
from modules.spec.yaml_file import load_declaration

__all__ = [
    "EVAL",
    "PRESENT_SUFFIX",
    "ROW_ID",
    "SPLITS",
    "TRAIN",
    "VALIDATION",
    "AnomalyError",
    "BusyError",
    "Column",
    "Declaration",
    "DeclarationError",
    "InputError",
    "NotBlessedError",
    "NotFoundError",
    "OutputError",
    "TwinbeamError",
    "load_declaration",
]
