"""Ctrl-C while libraries work: ends the process there and then.

Python would raise KeyboardInterrupt wherever it happens to be. In the middle of importing TensorFlow that aborts the
process without a word; in a function that C++ calls it is printed and forgotten, and the run goes on.
"""

import contextlib
import os
import signal
import types
from collections.abc import Callable, Iterator

INTERRUPTED = 130
"""The exit code."""


@contextlib.contextmanager
def interrupt_ends(ending: Callable[[], int]) -> Iterator[None]:
    """While this holds, SIGINT calls `ending` and ends the process with the exit code that it returns.

    Nothing else is run any more: no `finally`, no `except`; `ending` tidies up what must not stay.
    """

    def end(number: int, frame: types.FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os._exit(ending())

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
