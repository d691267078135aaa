"""Group 10,000 unknown faces: seconds, and pairwise precision and recall, at the thresholds of several FARs.

    python benchmarks/grouping.py [--faces 10000] [--people 1000] [--vectors strong.npz]

The embeddings are drawn: a direction of 256 numbers a person, and noise a photo. `--vectors` groups the first
of a file of `facelab embed` instead. Thresholds are those of the impostor pairs of the same embeddings. The
exit status is 1 if one grouping takes a minute or more.
"""

import argparse
import sys
import time

import numpy as np

from facelab.data.embeddings import load_embeddings, load_identities
from facelab.metrics.grouping import group, pairwise_report
from facelab.metrics.similarity import normalized
from facelab.metrics.verification import threshold_at_far

DIM, MOST_SECONDS, PAIRS = 256, 60, 2_000_000
FARS = (1e-2, 1e-3, 1e-4)


def drawn(faces: int, people: int) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings (N, DIM) and labels (N,) of people with as many photos each."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(faces) % people)
    centers = rng.standard_normal((people, DIM), np.float32)
    return normalized(centers[labels] + 1.5 * rng.standard_normal((faces, DIM), np.float32)), labels


def main() -> int:
    """Parse the arguments and print a row for each threshold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--faces", type=int, default=10_000)
    parser.add_argument("--people", type=int, default=1_000)
    parser.add_argument("--vectors", default=None, help=".npz of `facelab embed` with identities")
    arguments = parser.parse_args()
    if arguments.vectors:
        vectors = normalized(load_embeddings(arguments.vectors)[1])[: arguments.faces]
        who = np.array(load_identities(arguments.vectors))[: arguments.faces]
        labels = np.unique(who, return_inverse=True)[1]
    else:
        vectors, labels = drawn(arguments.faces, arguments.people)
    first, second = np.random.default_rng(1).integers(len(labels), size=(2, PAIRS))
    other = np.flatnonzero(labels[first] != labels[second])
    impostor = np.concatenate(
        [(vectors[first[p]] * vectors[second[p]]).sum(1) for p in np.array_split(other, 40)]
    )
    print(f"{len(labels):,} faces of {len(np.unique(labels)):,} people")
    print(f"{'FAR':>8}{'threshold':>11}{'seconds':>9}{'groups':>8}{'precision':>11}{'recall':>9}")
    slowest = 0.0
    for far in FARS:
        threshold = threshold_at_far(impostor, far)
        start = time.perf_counter()
        found = group(vectors, threshold)
        took = time.perf_counter() - start
        slowest, report = max(slowest, took), pairwise_report(found.groups, labels)
        row = f"{far:>8g}{threshold:>11.3f}{took:>9.1f}{found.groups.max() + 1:>8,}"
        print(f"{row}{report['precision']:>11.4f}{report['recall']:>9.4f}", flush=True)
    return int(slowest >= MOST_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
