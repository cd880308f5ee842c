"""The errors that a user can mend, as a tree; each kind has its own exit code.

TwinbeamError
├── DeclarationError   3  the declaration says something that is not accepted
├── InputError         4  the data, or a request, cannot be read as declared
├── AnomalyError       5  the data contradicts the curated schema
├── NotBlessedError    6  the model missed a threshold
├── OutputError        7  the output directory cannot be written, or the disk is full
├── BusyError          8  another run holds the output directory
├── NotFoundError      9  there is no such model, version or run
├── StoreUnavailable  10  the online store is down, too slow or full
├── SourceUnavailable 11  the source of events is down or too slow
└── ParityError       12  features or scores differ between training and serving

Every message says what is wrong, where, and how to mend it. An error carries one string, so that it survives pickling
between worker processes.
"""


class TwinbeamError(Exception):
    """Something that the user can mend. `str(error)` is the whole message."""

    exit_code = 1


class DeclarationError(TwinbeamError):
    exit_code = 3


class InputError(TwinbeamError):
    exit_code = 4


class AnomalyError(TwinbeamError):
    exit_code = 5


class NotBlessedError(TwinbeamError):
    exit_code = 6


class OutputError(TwinbeamError):
    exit_code = 7


class BusyError(TwinbeamError):
    exit_code = 8


class NotFoundError(TwinbeamError):
    exit_code = 9


class StoreUnavailable(TwinbeamError):
    exit_code = 10


class SourceUnavailable(TwinbeamError):
    exit_code = 11


class ParityError(TwinbeamError):
    exit_code = 12
