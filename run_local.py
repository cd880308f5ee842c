"""The main job on this machine: `python run_local.py` is `twinbeam run`, with the same options."""

import sys

from pipeline.cli.__main__ import main

if __name__ == "__main__":
    sys.argv.insert(1, "run")
    main()
