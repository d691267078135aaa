"""What Qdrant's HNSW graph costs beside exact search: recall@1, and the change of DIR@FAR.

    python benchmarks/hnsw.py [--vectors people.npz] [--distractors others.npz ...] [--fill 200000]

No server runs: `pip install qdrant-edge-py` has Qdrant's own engine (its segments and its graph) in a Python
package; where it is not installed, nothing is measured. The graph has a server's default settings (m = 16,
ef_construct = 100); a search without settings, as `gallery search --approximate` sends it, uses ef = 100.
Four of five people are in the gallery with half of their photos; their other photos and all of the fifth
person's are probes. `--fill` adds distractors up to that number, drawn with the embeddings' mean and
covariance. Without `--vectors` the people are drawn too. Thresholds are those of exact search, as in use.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facelab.data.embeddings import load_embeddings, load_identities
from facelab.metrics.similarity import normalized
from facelab.metrics.verification import threshold_at_far
from facelab.recognition.flat_search import Scan, bounds, calibrate, encode, search

if TYPE_CHECKING:
    from qdrant_edge import EdgeShard

M, EF_CONSTRUCT, FULL_SCAN = 16, 100, 10_000  # the server's defaults; the last in kilobytes
BATCH, MOST_PROBES = 1000, 5000
FARS = (0.1, 0.01, 0.001)


def drawn(people: int, photos: int, dim: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings (N, D) and labels (N,) of people whose photos scatter around a direction each."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(people), photos)
    centers = rng.standard_normal((people, dim), np.float32)
    return normalized(centers[labels] + 1.3 * rng.standard_normal((len(labels), dim), np.float32)), labels


def divided(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows of the gallery, rows of the probes) of photos (N,); label -1 is nobody's probe."""
    rng = np.random.default_rng(1)
    unknown = labels % 5 == 4
    first = np.zeros(len(labels), bool)
    for label in np.unique(labels[labels >= 0]):
        own = rng.permutation(np.flatnonzero(labels == label))
        first[own[: (len(own) + 1) // 2]] = True
    inside = (labels < 0) | (first & ~unknown)
    probes = np.flatnonzero(~inside)
    return np.flatnonzero(inside), np.sort(rng.permutation(probes)[:MOST_PROBES])


def filled(vectors: np.ndarray, count: int) -> np.ndarray:
    """Return `count` distractors (count, D), normal with the mean and covariance of embeddings (N, D)."""
    rng = np.random.default_rng(2)
    spread = np.linalg.cholesky(np.cov(vectors, rowvar=False) + 1e-7 * np.eye(vectors.shape[1]))
    drawn = rng.standard_normal((count, len(spread)), np.float32) @ spread.T.astype(np.float32)
    return normalized(vectors.mean(0) + drawn)


def graph(vectors: np.ndarray, folder: str) -> "EdgeShard":
    """Build Qdrant's graph of (N, D)."""
    import qdrant_edge as qdrant

    config = qdrant.EdgeConfig(
        vectors=qdrant.EdgeVectorParams(vectors.shape[1], qdrant.Distance.Cosine),
        hnsw_config=qdrant.HnswIndexConfig(M, EF_CONSTRUCT, FULL_SCAN),
    )
    shard = qdrant.EdgeShard.create(folder, config)
    for start in range(0, len(vectors), BATCH):
        part = enumerate(vectors[start : start + BATCH].tolist(), start)
        shard.update(qdrant.UpdateOperation.upsert_points([qdrant.Point(i, x) for i, x in part]))
    shard.optimize()
    return shard


def nearest(shard: "EdgeShard", probes: np.ndarray, ef: int | None, exact: bool) -> tuple[np.ndarray, float]:
    """Return (the best row for each of the probes (P,), milliseconds a probe)."""
    import qdrant_edge as qdrant

    params = qdrant.SearchParams(hnsw_ef=ef, exact=exact)
    asked = [qdrant.SearchRequest(qdrant.Query.Nearest(x), 1, params=params) for x in probes.tolist()]
    start = time.perf_counter()
    rows = [shard.search(request)[0].id for request in asked]
    return np.array(rows), 1000 * (time.perf_counter() - start) / len(asked)


def table(vectors: np.ndarray, labels: np.ndarray, efs: list[int]) -> list[dict[str, object]]:
    """Print and return a row for exact search and for each ef."""
    inside, asked = divided(labels)
    rows, people, probes, own = vectors[inside], labels[inside], vectors[asked], labels[asked]
    known = np.isin(own, people)
    steps = calibrate(rows)
    codes = encode(rows, steps)
    scan = Scan(codes, steps, *bounds(rows, codes, steps), rows.__getitem__)
    truth, best = (x[:, 0] for x in search(scan, probes, 1))
    limits = [threshold_at_far(best[~known], far) for far in FARS]
    print(f"{len(rows):,} photos; probes: {known.sum():,} of people among them, {(~known).sum():,} of others")
    lines, results = [("ours, exact", truth, float("nan"))], []
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        shard = graph(rows, folder)
        indexed = shard.info().indexed_vectors_count
        print(f"graph of {indexed:,} photos in {time.perf_counter() - start:.1f} s")
        lines.append(("Qdrant, exact", *nearest(shard, probes, None, True)))
        lines.append(("Qdrant, HNSW as asked", *nearest(shard, probes, None, False)))
        lines += [(f"Qdrant, HNSW ef {ef}", *nearest(shard, probes, ef, False)) for ef in efs]
        shard.close()
    head = "".join(f"{f'DIR@FAR={far:g}':>15}{'FAR':>8}" for far in FARS)
    print(f"{'':<24}{'ms a probe':>11}{'recall@1':>10}{head}")
    for name, found, took in lines:
        scores = (rows[found] * probes).sum(1)
        recall = float((scores >= best - 1e-6).mean())  # of equal photos either counts
        right = people[found] == own
        rates = [float((right & (scores >= limit))[known].mean()) for limit in limits]
        alarms = [float((scores >= limit)[~known].mean()) for limit in limits]
        text = "".join(f"{100 * d:>14.2f}%{100 * a:>7.2f}%" for d, a in zip(rates, alarms))
        print(f"{name:<24}{took:>11.3f}{recall:>10.4f}{text}", flush=True)
        results.append({"search": name, "recall": recall, "dir": rates, "far": alarms, "ms": took})
    return results


def main() -> int:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--vectors", default=None, help=".npz of `facelab embed` with identities")
    parser.add_argument("--distractors", nargs="*", default=[], help=".npz files of other people")
    parser.add_argument("--fill", type=int, default=25_000, help="photos in all, at least")
    parser.add_argument("--ef", type=int, nargs="*", default=[16, 32, 64, 128, 256])
    parser.add_argument("--out", type=Path, default=None, help="JSON file for the figures")
    arguments = parser.parse_args()
    if not importlib.util.find_spec("qdrant_edge"):
        print("qdrant-edge-py is not installed; there is no graph to measure")
        return 0
    if arguments.vectors:
        vectors = normalized(load_embeddings(arguments.vectors)[1]).astype(np.float32)
        _, labels = np.unique(np.array(load_identities(arguments.vectors)), return_inverse=True)
    else:
        vectors, labels = drawn(1000, 8)
    others = [normalized(load_embeddings(path)[1]).astype(np.float32) for path in arguments.distractors]
    missing = arguments.fill - len(vectors) - sum(map(len, others))
    others += [filled(vectors, missing)] if missing > 0 else []
    labels = np.concatenate([labels, *(np.full(len(x), -1) for x in others)])
    results = table(np.concatenate([vectors, *others]), labels, arguments.ef)
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
