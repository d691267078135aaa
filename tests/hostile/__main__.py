"""Feed the whole corpus to the readers and print a table, then whatever went wrong."""

import json
import sys
import tempfile
from pathlib import Path

from tests.hostile.corpus import write
from tests.hostile.report import run

GOOD = Path(__file__).parents[2] / "checkpoints" / "alexnet.safetensors"


def main() -> int:
    """Return 0 if every file was read or refused in one sentence, within the limits."""
    with tempfile.TemporaryDirectory() as folder:
        report = run(write(Path(folder) / "corpus", GOOD.read_bytes()), Path(folder) / "process")
    print(report.table())
    faults = [*report.wrong(), *report.greedy(), *report.slow()]
    for fault in (*map(json.dumps, faults), *report.left):
        print(fault)
    return bool(faults or report.left)


if __name__ == "__main__":
    sys.exit(main())
