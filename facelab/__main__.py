"""`python -m facelab`: see `facelab/cli.py`."""

import sys

from facelab.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
