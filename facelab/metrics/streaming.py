"""The ROC of all pairs of a large set, streamed: LFW's 13,233 photos have 87 million pairs.

Square tiles of the score matrix are counted into a fine histogram and discarded, so memory does not grow with
the number of pairs. The ROC at every edge of a bin is exact; values between two edges are not resolved, and
`error` bounds the resulting error.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from facelab.metrics.similarity import ScoreMatrix, checked, cosine_matrix
from facelab.metrics.verification import Roc

ALL_PAIRS_FARS = tuple(10.0**-k for k in range(1, 7))  # rates that so many pairs can show
BINS = 2**20  # 1.9e-6 wide for cosines
TILE = 1024  # rows and columns; larger tiles need more memory and are no faster


@dataclass(frozen=True, eq=False)
class StreamedRoc:
    """ROC on the edges of a histogram.

    Attributes:
        curve: the exact error rates at the edges of non-empty bins.
        genuine_pairs, impostor_pairs: number of pairs of each kind.
        error: the largest share of a kind in one bin; EER, AUC and TAR@FAR differ by less than this from
            those of the sorted scores.
    """

    curve: Roc
    genuine_pairs: int
    impostor_pairs: int
    error: float


def stream_roc(
    embeddings: np.ndarray,
    labels: np.ndarray,
    score: ScoreMatrix = cosine_matrix,
    limits: tuple[float, float] = (-1.0, 1.0),
) -> StreamedRoc:
    """Compute the ROC over all N(N-1)/2 pairs, in memory that does not depend on their number (50 MB).

    Args:
        embeddings: (N, D).
        labels: (N,) identities.
        score: function of two sets -> similarities of every pair.
        limits: lowest and highest score; scores outside count into the first or last bin.

    Raises:
        ValueError: wrong shapes, NaN, or no genuine or no impostor pair.
    """
    embeddings, labels = checked(embeddings, labels)
    both, genuine = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
    for rows, columns in _tiles(len(embeddings)):
        bins = _bins(score(embeddings[rows], embeddings[columns]), limits)
        same = labels[rows, None] == labels[None, columns]
        if rows == columns:  # of a tile on the diagonal, what is above it
            above = np.triu(np.ones(bins.shape, bool), 1)
            bins, same = bins[above], same[above]
        both += np.bincount(bins.ravel(), minlength=BINS)
        if same.any():
            genuine += np.bincount(bins[same], minlength=BINS)
        del bins  # before the next tile's are made
    return _from_counts(genuine, both - genuine, limits)


def stream_scores(
    parts: Iterable[tuple[np.ndarray, np.ndarray]], limits: tuple[float, float] = (-1.0, 1.0)
) -> StreamedRoc:
    """Compute the ROC of pairs that come in parts, in memory that does not depend on their number.

    Args:
        parts: ((P,) scores, which are overwritten, and (P,) boolean truth) at a time.
        limits: lowest and highest score; what lies outside counts into the first or last bin.

    Raises:
        ValueError: no pair of one of the kinds.
    """
    counts = np.zeros((2, BINS), np.int64)  # impostor, genuine
    for scores, same in parts:
        bins = _bins(scores, limits)
        for kind in (0, 1):
            counts[kind] += np.bincount(bins[same == kind], minlength=BINS)
    return _from_counts(counts[1], counts[0], limits)


def _tiles(n: int) -> Iterator[tuple[slice, slice]]:
    """Yield the upper triangle of an n x n matrix, diagonal included, as squares."""
    for i in range(0, n, TILE):
        for j in range(i, n, TILE):
            yield slice(i, min(i + TILE, n)), slice(j, min(j + TILE, n))


def _bins(scores: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    scores -= limits[0]
    scores *= BINS / (limits[1] - limits[0])
    return np.clip(scores, 0, BINS - 1, out=scores).astype(np.intp)


def _from_counts(genuine: np.ndarray, impostor: np.ndarray, limits: tuple[float, float]) -> StreamedRoc:
    pairs = {"genuine": int(genuine.sum()), "impostor": int(impostor.sum())}
    for kind, count in pairs.items():
        if not count:
            raise ValueError(
                f"there is no {kind} pair; give two people or more, and two photos of one of them"
            )
    filled = np.flatnonzero(genuine + impostor)[::-1]
    tar = np.cumsum(genuine[filled]) / pairs["genuine"]
    far = np.cumsum(impostor[filled]) / pairs["impostor"]
    edges = limits[0] + filled * ((limits[1] - limits[0]) / BINS)
    curve = Roc(np.append(np.inf, edges), np.append(0, far), np.append(0, tar))
    error = max(genuine.max() / pairs["genuine"], impostor.max() / pairs["impostor"])
    return StreamedRoc(curve, pairs["genuine"], pairs["impostor"], float(error))
