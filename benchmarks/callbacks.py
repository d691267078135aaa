"""Processor time of what a visitor repeats: an answer to a slider of Losses, and the header of a checkpoint.

python benchmarks/callbacks.py          the exit status is 1 if a median misses its target
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch

from facelab.models.checkpoint import describe
from facelab.models.zoo import CHECKPOINTS
from facelab.ui.losses import margins as losses_margins
from facelab.ui.losses import pairs as losses_pairs
from facelab.ui.losses import triplets as losses_triplets

MARGINS = (0.5, 0.35, 4, 5)  # the papers' margins, and λ where training ends
REPEATS = 21
TRIALS: dict[str, tuple[Callable[[], object], float]] = {  # what is called, milliseconds allowed
    "margins": (lambda: losses_margins.show(*MARGINS, 64, 10_000), 30.0),
    "rings": (lambda: losses_margins.show_rings(*MARGINS, 3, 60), 30.0),
    "triplet": (lambda: losses_triplets.show(*losses_triplets.START, 0.2), 30.0),
    "pairs": (lambda: losses_pairs.show(losses_pairs.SLIDERS, 0.5, 0.2, 0.1, 0.2, 1.0, 0.5), 30.0),
    "header": (lambda: describe(CHECKPOINTS / "softmax.safetensors"), 50.0),
}


def median(call: Callable[[], object]) -> float:
    """Milliseconds of processor time of a call."""
    spent = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        spent.append(1000.0 * (time.process_time() - start))
    return statistics.median(spent)


def main() -> int:
    torch.set_num_threads(1)
    missed = False
    for name, (call, target) in TRIALS.items():
        spent = median(call)
        missed |= spent > target
        print(f"{name:10} {spent:6.1f} ms, target {target:.0f} ms")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
