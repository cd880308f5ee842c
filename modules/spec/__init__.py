"""The words of a declaration, and the way in: `load_declaration`."""

from modules.spec.columns import Column
from modules.spec.condition import Condition
from modules.spec.declaration import DEFAULTS_FINGERPRINT, FINGERPRINT_SIGNATURE, PRESENT_SUFFIX, ROW_ID, Declaration
from modules.spec.duration import micros, written
from modules.spec.errors import (
    AnomalyError,
    BusyError,
    DeclarationError,
    InputError,
    NotBlessedError,
    NotFoundError,
    OutputError,
    ParityError,
    SourceUnavailable,
    StoreUnavailable,
    TwinbeamError,
)
from modules.spec.gate import Gate
from modules.spec.live import Live
from modules.spec.live_feature import LiveFeature
from modules.spec.serving import Serving
from modules.spec.source import Source
from modules.spec.split import EVAL, SPLITS, TRAIN, VALIDATION
from modules.spec.taken import Taken
from modules.spec.typed import Typed
from modules.spec.yaml_file import load_declaration

__all__ = [
    "DEFAULTS_FINGERPRINT",
    "EVAL",
    "FINGERPRINT_SIGNATURE",
    "PRESENT_SUFFIX",
    "ROW_ID",
    "SPLITS",
    "TRAIN",
    "VALIDATION",
    "AnomalyError",
    "BusyError",
    "Column",
    "Condition",
    "Declaration",
    "DeclarationError",
    "Gate",
    "InputError",
    "Live",
    "LiveFeature",
    "NotBlessedError",
    "NotFoundError",
    "OutputError",
    "ParityError",
    "Serving",
    "Source",
    "SourceUnavailable",
    "StoreUnavailable",
    "Taken",
    "TwinbeamError",
    "Typed",
    "load_declaration",
    "micros",
    "written",
]
