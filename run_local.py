"""The main job on this machine: `python run_local.py` is `twinbeam run`, with the same options."""

import sys

from pipeline.cli.main import app

if __name__ == "__main__":
    app(["run", *sys.argv[1:]])
