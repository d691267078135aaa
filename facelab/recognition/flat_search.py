"""Exact search for the best cosines among millions of embeddings, in blocks and without a graph.

Every embedding is also kept as one byte a dimension, on a scale of that dimension (scalar quantization). For
a few probes, a scan of the bytes reads a quarter of the memory and leaves a shortlist, which is scored in
full. The error of a byte's cosine has a bound (Cauchy-Schwarz), so the answer proves itself: if an embedding
beyond the shortlist might be among the best after all, or the probes are many, all embeddings are scored.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

SCORES = 2_000_000  # of one block, so that they stay in the cache
LEAST_ROWS, MOST_ROWS = 4096, 65_536  # of a block
FEW = 8  # probes that the bytes answer sooner than the float32 product
SHORTLIST = 1024
LANES = 64  # PyTorch's int8 kernel reads past the end of rows that are no multiple of its vectors
SPARE = 16  # rows that float32 may order wrongly at the end of an answer
TOP = 127  # largest code
HEADROOM = 1.5


def calibrate(vectors: np.ndarray) -> np.ndarray:
    """Return the step of each dimension's codes, (D,) float32 above 0, from vectors (N, D) of length 1.

    There is room for values beyond those seen here: a clipped one is far from its code, and a single such
    row widens the bound of all.
    """
    largest = HEADROOM * np.abs(vectors).max(0)
    return (np.maximum(largest, largest.max() * 1e-3 + 1e-12) / TOP).astype(np.float32)


def encode(vectors: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Quantize vectors (N, D) -> codes (N, D) int8, in [-127, 127]."""
    return np.clip(np.rint(vectors / steps), -TOP, TOP).astype(np.int8)


def bounds(vectors: np.ndarray, codes: np.ndarray, steps: np.ndarray) -> tuple[float, float]:
    """Return (the largest distance of a vector from its code, the largest norm of the codes themselves).

    By the first at most, a cosine with a probe of length 1 errs.
    """
    apart = np.linalg.norm(vectors - codes * steps, axis=1)
    return float(apart.max(initial=0.0)), float(
        np.linalg.norm(codes.astype(np.float32), axis=1).max(initial=0)
    )


@dataclass(frozen=True, eq=False)
class Scan:
    """What is searched.

    Attributes:
        codes: (N, D) int8, in memory or mapped from a file.
        steps: (D,) float32, what a code's unit means.
        slack: distance of an embedding from its code at most.
        longest: norm of a row of codes at most.
        rows: function from row numbers (M,) or a slice to embeddings (M, D) float32 of length 1.
        gone: (N,) bool, rows that are not found; None means none.
    """

    codes: np.ndarray
    steps: np.ndarray
    slack: float
    longest: float
    rows: Callable[[np.ndarray | slice], np.ndarray]
    gone: np.ndarray | None = None


def search(scan: Scan, probes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the best rows for each probe.

    Args:
        scan: N rows, of which at least one is not gone.
        probes: (P, D) float32 of length 1.
        count: K >= 1; fewer are returned where there are fewer rows.

    Returns:
        (rows (P, K) int64, cosines (P, K) float32), best first; of equal ones the earlier row first.
    """
    present = len(scan.codes) - (0 if scan.gone is None else int(scan.gone.sum()))
    count = min(count, present)
    few = len(probes) <= FEW and count < SHORTLIST and len(scan.steps) % LANES == 0
    if few:
        ceiling, rows = _shortlist(scan, probes)
        found, cosines = _ranked(scan, probes, rows, count)
    if not few or (cosines[:, -1] <= ceiling).any():
        _, rows = _best(scan, len(probes), count + SPARE, lambda part: probes @ scan.rows(part).T)
        found, cosines = _ranked(scan, probes, rows, count)
    return found, np.clip(cosines, -1, 1).astype(np.float32)


def _shortlist(scan: Scan, probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (a bound on the cosine of every other row, (P,); the rows that the bytes rank best, (P, M))."""
    exact = torch.from_numpy(probes * scan.steps)
    asked, ones = exact.bfloat16(), torch.ones(MOST_ROWS, dtype=torch.bfloat16)

    def score(part: slice) -> np.ndarray:
        codes = torch.from_numpy(scan.codes[part])
        return torch._weight_int8pack_mm(asked, codes, ones[: len(codes)]).float().numpy()

    scores, rows = _best(scan, len(probes), SHORTLIST, score)
    norms, apart = (x.float().norm(dim=1).numpy() * scan.longest for x in (asked, exact - asked))
    last = scores[:, -1]  # -inf where the shortlist holds every row
    rounding = len(scan.steps) * 2.0**-23 * norms + 2.0**-8 * np.abs(np.maximum(last, -1))  # of sum and score
    return last + scan.slack + apart + rounding, rows


def _best(
    scan: Scan, probes: int, keep: int, score: Callable[[slice], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best scores and rows, (P, keep), best first; -inf and row -1 where there are no more."""
    # Without PyTorch, whose threads and those of numpy's product would wait for each other.
    best, rows = np.full((probes, keep), -np.inf, np.float32), np.full((probes, keep), -1)
    most = min(MOST_ROWS, max(LEAST_ROWS, SCORES // probes))
    start, stop = 0, min(most, 4 * keep)  # blocks grow, as nearly all of the first are among the best so far
    while start < len(scan.codes):
        part = slice(start, min(stop, len(scan.codes)))
        scores = score(part)
        if scan.gone is not None:
            scores[:, scan.gone[part]] = -np.inf
        found = np.flatnonzero(scores > best[:, -1:])
        if len(found):
            best, rows = _merged(best, rows, scores, found, start)
        start, stop = stop, stop + min(most, stop)
    return best, rows


def _merged(
    best: np.ndarray, rows: np.ndarray, scores: np.ndarray, found: np.ndarray, start: int
) -> tuple[np.ndarray, np.ndarray]:
    """Join scores (P, n), at flat places `found`, of rows from `start` on to the best (P, K); of equal
    ones the earlier row stays.
    """
    probe, column = np.divmod(found, scores.shape[1])
    counts = np.bincount(probe, minlength=len(best))
    place = np.arange(len(probe)) - (counts.cumsum() - counts)[probe]
    fresh = np.full((len(best), counts.max()), -np.inf, np.float32)
    where = np.full(fresh.shape, -1)
    fresh[probe, place], where[probe, place] = scores[probe, column], column + start
    merged, where = np.concatenate([best, fresh], 1), np.concatenate([rows, where], 1)
    order = np.argsort(-merged, axis=1, kind="stable")[:, : best.shape[1]]
    return np.take_along_axis(merged, order, 1), np.take_along_axis(where, order, 1)


def _ranked(scan: Scan, probes: np.ndarray, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Score rows (P, M) in float64 -> the best rows and cosines, (P, count); -1 is no row."""
    found, cosines = np.empty((len(probes), count), np.int64), np.empty((len(probes), count))
    for i, probe in enumerate(probes):
        own = np.sort(rows[i][rows[i] >= 0])
        exact = (scan.rows(own) * probe.astype(np.float64)).sum(1)  # row by row: equal rows score equally
        order = np.argsort(-exact, kind="stable")[:count]
        found[i], cosines[i] = own[order], exact[order]
    return found, cosines
