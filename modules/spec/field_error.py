"""A value that is not accepted, and where it is: the reader of the file names its line."""

import contextlib
from collections.abc import Iterator


class FieldError(ValueError):
    """What would be accepted at a field below the section whose check raises this; the field need not be given."""

    def __init__(self, accepted: str, *location: str | int) -> None:
        super().__init__(accepted)
        self.location = location


@contextlib.contextmanager
def within(*location: str | int) -> Iterator[None]:
    """Puts these fields before the location of a `FieldError` that is raised inside."""
    try:
        yield
    except FieldError as error:
        raise FieldError(str(error), *location, *error.location) from None
