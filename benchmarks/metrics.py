"""Scoring beside the usual ways: LFW's 10 folds as a ratio, and all pairs of LFW's size by time and memory.

Run with `python benchmarks/metrics.py`. The 10-fold rival is the loop that face repositories share: for each
fold, 400 thresholds are tried on the other nine, and again on the fold itself. It can only be as exact as its
grid, so it is given scores on the grid, where both must give the same figure, and then scores between. The
exit status is 1 if a target is missed.
"""

import argparse
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from facelab.metrics.identification import search
from facelab.metrics.streaming import stream_roc
from facelab.metrics.verification import fold_accuracy, roc

PAIRS, FOLDS = 6000, 10
IMAGES, DIM = 13_233, 256
GRID = np.arange(0, 4, 0.01)  # squared distances of unit vectors


def loop_accuracy(distance: np.ndarray, same: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(10,) accuracies by the 400-threshold loop, with the rates that it computes on the way."""
    accuracy = np.zeros(FOLDS)
    for fold in range(FOLDS):
        test = folds == fold
        tried = [counts(threshold, distance[~test], same[~test])[2] for threshold in GRID]
        rates = [counts(threshold, distance[test], same[test]) for threshold in GRID]
        accuracy[fold] = rates[int(np.argmax(tried))][2]
    return accuracy


def counts(threshold: float, distance: np.ndarray, same: np.ndarray) -> tuple[float, float, float]:
    """(true-accept rate, false-accept rate, accuracy) at one threshold."""
    accepted = distance < threshold
    true_accept, false_accept = (accepted & same).sum(), (accepted & ~same).sum()
    right = true_accept + (~accepted & ~same).sum()
    return true_accept / same.sum(), false_accept / (~same).sum(), right / len(distance)


def timed(run: Callable[[], object], rounds: int) -> float:
    """Median milliseconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def compare_folds(rounds: int) -> bool:
    """Print both times and figures; whether ours is 20 times as fast and the figure the same."""
    rng = np.random.default_rng(0)
    same, folds = np.arange(PAIRS) % 2 == 0, np.arange(PAIRS) // (PAIRS // FOLDS)
    between = np.clip(rng.normal(np.where(same, 1.0, 1.8), 0.3), 0, 3.98)
    on_grid = np.floor(between / 0.01) * 0.01 + 0.005  # midway between two thresholds
    ours, theirs = (
        timed(lambda f=function, sign=sign: f(sign * on_grid, same, folds), rounds)
        for function, sign in ((fold_accuracy, -1), (loop_accuracy, 1))
    )
    print(f"{'LFW 10-fold, 6,000 pairs':38}{'ours':>10}{'loop':>10}{'ratio':>8}{'target':>8}")
    fast = theirs / ours >= 20
    print(f"{'time':38}{ours:8.2f}ms{theirs:8.0f}ms{theirs / ours:7.0f}x{20:7}x  {verdict(fast)}")
    equal = True
    for name, distance, slack in (("scores on its grid", on_grid, 0.0), ("scores between", between, 0.002)):
        a, b = fold_accuracy(-distance, same, folds).mean(), loop_accuracy(distance, same, folds).mean()
        near = abs(a - b) <= slack + 1e-12
        print(f"{'accuracy, ' + name:38}{a:10.5f}{b:10.5f}{abs(a - b):8.5f}{slack:8.3f}  {verdict(near)}")
        equal &= near
    return fast and equal


def stream(images: int) -> bool:
    """Print what streaming all pairs takes and how near it is to sorting them; whether targets are met."""
    rng = np.random.default_rng(1)
    photos = np.minimum(
        rng.zipf(2.0, images), 530
    )  # as uneven as LFW: most people have one photo, one has 530
    labels = np.repeat(np.arange(images), photos)[:images]
    embeddings = rng.normal(size=(images, DIM))[labels] + 1.7 * rng.normal(size=(images, DIM))
    embeddings = embeddings.astype(np.float32)
    start = time.perf_counter()
    found = stream_roc(embeddings, labels)
    seconds = time.perf_counter() - start
    pairs = found.genuine_pairs + found.impostor_pairs
    peak = peak_megabytes(lambda: stream_roc(embeddings, labels))
    print(f"\nall {pairs:,} pairs of {images:,} embeddings, D = {DIM}: {seconds:.1f} s", end="")
    print(f", {peak:.0f} MB beyond the embeddings (their scores alone: {4 * pairs / 1e6:.0f} MB)")
    figures = found.curve.figures([10.0**-k for k in range(1, 7)])
    print(
        f"EER {figures['eer']:.6f}, AUC {figures['auc']:.6f}, each within {found.error:.1e}; TAR@FAR", end=" "
    )
    print(", ".join(f"{far} {tar:.5f}" for far, tar in figures["tar_at_far"].items()))
    return within("streaming memory, MB", peak, 120) & exact_part(embeddings[:3000], labels[:3000])


def exact_part(embeddings: np.ndarray, labels: np.ndarray) -> bool:
    """Whether streaming a part of them is as near to its sorted pairs as it says."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    first, second = np.triu_indices(len(unit), 1)
    scores, same = (unit @ unit.T)[first, second], labels[first] == labels[second]
    exact, streamed = roc(scores[same], scores[~same]), stream_roc(embeddings, labels)
    gaps = [
        abs(exact.equal_error_rate()[0] - streamed.curve.equal_error_rate()[0]),
        abs(exact.auc() - streamed.curve.auc()),
        *(abs(exact.tar_at_far(10.0**-k) - streamed.curve.tar_at_far(10.0**-k)) for k in range(1, 7)),
    ]
    return within("3,000 of them, error over its bound", max(gaps) / streamed.error, 1)


def identify(people: int) -> bool:
    """Print what looking up `people` probes among as many templates takes; whether memory is bounded."""
    rng = np.random.default_rng(2)
    gallery = rng.normal(size=(people, DIM)).astype(np.float32)
    probes, labels = gallery + rng.normal(size=gallery.shape).astype(np.float32), np.arange(people)
    start = time.perf_counter()
    search(gallery, labels, probes, labels)
    print(f"\n{people:,} probes against {people:,} templates: {time.perf_counter() - start:.1f} s")
    return within(
        "identification memory, MB", peak_megabytes(lambda: search(gallery, labels, probes, labels)), 80
    )


def peak_megabytes(run: Callable[[], object]) -> float:
    """Most memory that NumPy holds at once in a run, beyond what was there before."""
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def within(name: str, value: float, target: float) -> bool:
    """Print one row; whether the value is at most the target."""
    print(f"{name:38}{value:10.2f}{'':18}{target:8}  {verdict(value <= target)}")
    return value <= target


def verdict(met: bool) -> str:
    """A target's verdict in a word."""
    return "met" if met else "MISSED"


def main() -> int:
    """Parse the arguments, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=IMAGES)
    arguments = parser.parse_args()
    met = [compare_folds(arguments.rounds), stream(arguments.images), identify(10_000)]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
