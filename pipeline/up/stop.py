"""SIGINT and SIGTERM: noted, so that what was started can be stopped in order."""

import signal
import threading
import types
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):
    """A signal asked for the end."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


class Stop:
    """While it is entered, in the main thread, the first signal is noted, and the second ends the process."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._number = signal.SIGTERM

    def wait(self, seconds: float) -> None:
        """Waits.

        Raises:
          Stopped: A signal came, now or before.
        """
        if self._asked.wait(seconds):
            raise Stopped(self._number)

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: types.FrameType | None) -> None:
        self._number = signal.Signals(number)
        self._asked.set()
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
