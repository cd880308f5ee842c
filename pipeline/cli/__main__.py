"""Where `twinbeam` starts: Ctrl-C ends it in one line while the commands are still being imported, too."""

import os

from pipeline.cli.interrupt import INTERRUPTED, interrupt_ends


def main() -> None:
    """Runs the command that the arguments name."""
    with interrupt_ends(_interrupted):
        from pipeline.cli.main import app
    app()


def _interrupted() -> int:
    os.write(2, b"error: interrupted; nothing was pushed.\n")
    return INTERRUPTED


if __name__ == "__main__":
    main()
