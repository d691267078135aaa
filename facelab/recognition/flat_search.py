"""Exact search for the best cosines among millions of embeddings, in blocks and without a graph.

Every embedding is also kept as one byte a dimension, on a scale of that dimension (scalar quantization). A
scan of the bytes reads a quarter of the memory and finds all embeddings that can be among the best, because
the error of a score has a bound (Cauchy-Schwarz); those alone are scored in float32. The answer is that of a
full float32 scan, without its cost.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SCORES = 8_000_000  # of one block, in 32-bit integers
LEAST_ROWS, MOST_ROWS = 16_384, 1 << 20  # of a block
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
        rows: function from row numbers (M,) to embeddings (M, D) float32 of length 1 that are scored.
        gone: (N,) bool, rows that are not found; None means none.
    """

    codes: np.ndarray
    steps: np.ndarray
    slack: float
    longest: float
    rows: Callable[[np.ndarray], np.ndarray]
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
    scaled = probes * scan.steps
    units = np.maximum(np.abs(scaled).max(1, keepdims=True), 1e-30) / TOP
    asked = np.rint(scaled / units).astype(np.int8)
    # An exact cosine differs from units * (codes @ asked) by less than this, plus float32's own rounding.
    error = scan.slack + np.linalg.norm(scaled - asked * units, axis=1) * scan.longest + 1e-5
    margin = np.ceil(2 * error / units[:, 0]).astype(np.int64)
    columns, rows = _candidates(scan, torch.from_numpy(asked), torch.from_numpy(margin), count)
    return _rescored(scan, probes, columns, rows, count)


@torch.no_grad()
def _candidates(scan: Scan, asked: Tensor, margin: Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (probe, row) of all rows whose cosine may be among a probe's best."""
    codes, probes = torch.from_numpy(scan.codes), asked.T.contiguous()
    size = min(MOST_ROWS, max(LEAST_ROWS, SCORES // len(asked)))
    best = torch.full((0, len(asked)), 0, dtype=torch.int32)
    found = []
    for start in range(0, len(codes), size):
        scores = torch._int_mm(codes[start : start + size], probes)
        if scan.gone is not None and (gone := scan.gone[start : start + size]).any():
            scores[torch.from_numpy(np.flatnonzero(gone))] = torch.iinfo(torch.int32).min
        if len(best) < count:
            best = torch.cat([best, scores.topk(min(count, len(scores)), 0).values])
        else:
            better = (scores.amax(0) > best[-1]).nonzero()[:, 0]
            if len(better):
                top = scores.T[better].topk(min(count, len(scores)), 1).values.T
                best[:, better] = torch.cat([best[:, better], top]).sort(0, descending=True).values[:count]
            best = best[:count]
        best = best.sort(0, descending=True).values[:count]
        least = best[-1] - margin if len(best) == count else torch.full_like(margin, -(2**31) + 1)
        near = scores >= least.clamp(min=-(2**31) + 1).to(torch.int32)
        some = near.any(1).nonzero()[:, 0]  # far fewer than the rows, to be looked at one by one
        row, column = near[some].nonzero().T
        found.append((column, some[row] + start, scores[some[row], column]))
    column, row, score = map(torch.cat, zip(*found))
    keep = score >= (best[-1] - margin)[column]
    return column[keep].numpy(), row[keep].numpy()


def _rescored(
    scan: Scan, probes: np.ndarray, columns: np.ndarray, rows: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best candidates of each probe, by their cosines in float32."""
    order = np.argsort(columns, kind="stable")  # rows of a probe stay in their order
    rows, ends = rows[order], np.cumsum(np.bincount(columns, minlength=len(probes)))
    chosen = np.empty((len(probes), count), np.int64)
    scores = np.empty((len(probes), count), np.float32)
    for i, (probe, own) in enumerate(zip(probes, np.split(rows, ends[:-1]))):
        found, exact = _exact(scan, probe, own, count)
        top = np.lexsort((found, -exact))[:count]
        chosen[i], scores[i] = found[top], exact[top]
    return chosen, np.clip(scores, -1, 1)


def _exact(scan: Scan, probe: np.ndarray, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Score the most promising candidates until no other can be among the best -> (rows, cosines).

    Their embeddings may have to come from a disk, so the fewest possible are read.
    """
    close = scan.codes[rows].astype(np.float32) @ (probe * scan.steps)  # off by the slack at most
    order = np.argsort(-close, kind="stable")
    exact = np.empty(0, np.float32)
    while len(exact) < len(rows):
        if len(exact) >= count:
            least = np.partition(exact, -count)[-count]
            if close[order[len(exact)]] + scan.slack + 1e-5 < least:
                break
        more = order[len(exact) : max(count, len(exact)) + count + 16]
        exact = np.concatenate([exact, scan.rows(rows[more]) @ probe])
    return rows[order[: len(exact)]], exact
