"""Report on the crops that a command has read."""

import sys

from facelab.data.folders import CropSet
from facelab.data.images import printable


def told(data: CropSet) -> CropSet:
    """Print on stderr how the sources were read, and which files were not; return the crops."""
    for note in data.notes:
        print(note, file=sys.stderr)
    for name, reason in data.skipped:
        print(f"skipped {printable(name)}: {reason}", file=sys.stderr)
    return data
