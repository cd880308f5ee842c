"""What the launcher of the streaming job's Flex Template runs, beside `pipeline/` and `modules/` in its image."""

import sys

from pipeline.cli.stream_template import launch

if __name__ == "__main__":
    launch(sys.argv[1:])
