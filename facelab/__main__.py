"""`python -m facelab`, and the command `facelab` where it is installed: see `facelab/cli/main.py`."""

import sys

from facelab.cli.main import main


def run() -> int:
    """Run the command of this process's arguments -> exit status."""
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run())
