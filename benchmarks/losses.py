"""Losses beside pytorch-metric-learning: time and saved memory as ratios, the smaller the better.

Run with `python benchmarks/losses.py`. Each round runs both sides in turn in one process, forward and
backward, and medians are compared, so that a busy machine slows both. Batch 256, D = 512, 10,000 classes, one
thread unless `--threads` says otherwise; the exit status is 1 if a ratio misses its target.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from pytorch_metric_learning import distances, losses, miners
from torch import Tensor

from facelab.models.losses import build_loss
from facelab.models.losses.center import center_loss, update_centers
from facelab.models.losses.mining import squared_distances
from facelab.models.losses.pairs import pairwise_loss, triplet_loss

BATCH, DIM, CLASSES = 256, 512, 10_000
Run = Callable[[], Tensor]


def timed(run: Run) -> float:
    """Milliseconds of one forward and backward pass."""
    start = time.perf_counter()
    run().backward()
    return 1000 * (time.perf_counter() - start)


def times(runs: list[Run], rounds: int, warm: int = 3) -> list[tuple[float, ...]]:
    """Times of each run, one pass of each per round in turn."""
    table = [[timed(run) for run in runs] for _ in range(rounds + warm)][warm:]
    return list(zip(*table, strict=True))


def saved_megabytes(run: Run) -> float:
    """What autograd keeps for the backward pass, every storage counted once."""
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor  # holding it keeps the address from being reused
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / 1e6


def arcface_runs(embeddings: Tensor, labels: Tensor) -> tuple[Run, Run]:
    """(ours, theirs), both with m = 28.6° and s = 64."""
    ours, theirs = build_loss("arcface", DIM, CLASSES, {}), losses.ArcFaceLoss(CLASSES, DIM)
    return lambda: ours(embeddings, labels), lambda: theirs(embeddings, labels)


def triplet_runs(embeddings: Tensor, labels: Tensor) -> tuple[Run, Run]:
    """(ours, theirs), batch-hard on squared distances of unit vectors, margin 0.2."""
    ours = build_loss("triplet", DIM, CLASSES, {"mining": "hard"})
    distance = distances.LpDistance(normalize_embeddings=True, p=2, power=2)
    theirs, miner = losses.TripletMarginLoss(0.2, distance=distance), miners.BatchHardMiner(distance=distance)
    return lambda: ours(embeddings, labels), lambda: theirs(embeddings, labels, miner(embeddings, labels))


def contrastive_runs(embeddings: Tensor, labels: Tensor) -> tuple[Run, Run]:
    """(ours, theirs), all pairs of unit vectors, margin 1."""
    ours, theirs = build_loss("contrastive", DIM, CLASSES, {}), losses.ContrastiveLoss()
    return lambda: ours(embeddings, labels), lambda: theirs(embeddings, labels)


def center_runs(embeddings: Tensor, labels: Tensor) -> tuple[Run, Run]:
    """(center term with its update of the centers, the same term without: a plain gather)."""
    centers = torch.randn(CLASSES, DIM)

    def ours() -> Tensor:
        offsets = embeddings - centers.index_select(0, labels)
        update_centers(centers, offsets, labels, 0.5)
        return center_loss(offsets)

    def gather() -> Tensor:
        return (embeddings - centers[labels]).pow(2).sum(1).mean() / 2

    return ours, gather


def compare(rounds: int) -> bool:
    """Print the table of ratios; whether all meet their targets."""
    embeddings = torch.randn(BATCH, DIM, requires_grad=True)
    labels = torch.randint(CLASSES, (BATCH,))
    few = torch.arange(BATCH) // 4  # 64 identities, 4 photos each: a batch that pair losses are made for
    rows = [
        ("arcface, time", arcface_runs(embeddings, labels), rounds, 0.80),
        ("batch-hard triplet, time", triplet_runs(embeddings, few), 10 * rounds, 0.50),
        ("contrastive, time", contrastive_runs(embeddings, few), 10 * rounds, 0.80),
        ("center, time, against a plain gather", center_runs(embeddings, labels), 40 * rounds, 1.20),
    ]
    print(f"{'forward + backward':38}{'ours':>10}{'other':>10}{'ratio':>8}{'target':>8}")
    met = []
    for name, runs, count, target in rows:
        met.append(line(name, *map(statistics.median, times(list(runs), count)), "ms", target))
    ours, theirs = (saved_megabytes(run) for run in arcface_runs(embeddings, labels))
    met.append(line("arcface, saved memory", ours, theirs, "MB", 0.60))
    return all(met)


def line(name: str, ours: float, other: float, unit: str, target: float) -> bool:
    """Print one row; whether its ratio meets the target."""
    ratio = ours / other
    verdict = "met" if ratio <= target else "MISSED"
    print(f"{name:38}{ours:8.2f}{unit}{other:8.2f}{unit}{ratio:8.2f}{target:8.2f}  {verdict}")
    return ratio <= target


def growth(rounds: int) -> None:
    """Print best times over n: O(n log n) takes 4 to 5 times as long for 4n, a table of pairs 16 times."""
    print(f"\n{'pairwise, n scores':>20}{'sorted':>12}{'x':>6}{'table':>12}{'x':>6}")
    before = [0.0, 0.0]
    for power in range(10, 21, 2):
        half = 2**power // 2
        genuine, impostor = torch.randn(half, requires_grad=True), torch.randn(half, requires_grad=True)
        runs = [lambda g=genuine, i=impostor: pairwise_loss(g, i, 0.5)]
        if power <= 14:
            runs.append(lambda g=genuine, i=impostor: (0.5 - g[:, None] + i).clamp(min=0).mean())
        now = [min(each) for each in times(runs, rounds)]
        print(f"{2**power:20}" + "".join(cell(*pair) for pair in zip(now, before)))
        before = now
    print(f"\n{'all triplets, B':>20}{'sorted':>12}{'x':>6}   n = B² distances; B³ triplets are never listed")
    before = [0.0]
    for size in (64, 128, 256, 512, 1024):
        embeddings, labels = torch.randn(size, 64, requires_grad=True), torch.arange(size) // 4
        runs = [lambda e=embeddings, y=labels: triplet_loss(squared_distances(e), y, "all", 0.2)]
        now = [min(each) for each in times(runs, rounds)]
        print(f"{size:20}{cell(now[0], before[0])}")
        before = now


def cell(now: float, before: float) -> str:
    """A time and how many times the one before it is."""
    return f"{now:10.2f}ms" + (f"{now / before:6.1f}" if before else " " * 6)


def main() -> int:
    """Parse the arguments, print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    met = compare(arguments.rounds)
    growth(arguments.rounds)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
