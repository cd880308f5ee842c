"""Keeps the noise of libraries out of the terminal: all that they print and log goes to a file."""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def noise_to(log: Path) -> Iterator[tuple[TextIO, TextIO]]:
    """While this holds, file descriptors 1 and 2 and Python's loggers write to `log`.

    Yields:
      The real standard output and standard error.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    warnings.simplefilter("ignore")
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with (
        open(kept[0], "w", closefd=False, encoding="utf-8") as out,
        open(kept[1], "w", closefd=False, encoding="utf-8") as err,
        log.open("a", encoding="utf-8") as file,
    ):
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(handler)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield out, err
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
            logging.getLogger().removeHandler(handler)
    for descriptor in kept:
        os.close(descriptor)
