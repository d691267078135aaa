"""Similarity of all pairs between two sets, as a matrix, for identification and streaming.

`verification.cosine` compares paired rows; this module compares every row with every row, in one matrix
product. The caller limits memory by passing a few thousand rows at a time.
"""

from collections.abc import Callable

import numpy as np

ScoreMatrix = Callable[[np.ndarray, np.ndarray], np.ndarray]


def normalized(embeddings: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """Scale rows to length 1; a row of zeros stays zero."""
    embeddings = np.asarray(embeddings, dtype)
    return embeddings / np.maximum(np.linalg.norm(embeddings, axis=-1, keepdims=True), 1e-12)


def cosine_matrix(gallery: np.ndarray, probes: np.ndarray) -> np.ndarray:
    """Compute the cosine similarity of every pair: (G, D), (P, D) -> (G, P) float32 in [-1, 1]."""
    scores = normalized(gallery) @ normalized(probes).T
    return np.clip(scores, -1, 1, out=scores)


def distance_matrix(gallery: np.ndarray, probes: np.ndarray) -> np.ndarray:
    """Compute 1 - Euclidean distance of every pair: (G, D), (P, D) -> (G, P) float64, at most 1.

    It uses float64, because |a|² + |b|² - 2ab cancels where two embeddings are close.
    """
    gallery, probes = np.asarray(gallery, np.float64), np.asarray(probes, np.float64)
    squared = (gallery**2).sum(1)[:, None] + (probes**2).sum(1) - 2 * gallery @ probes.T
    return 1 - np.sqrt(np.maximum(squared, 0))


def checked(embeddings: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings (N, D) and labels (N,) as arrays, after checking them.

    Raises:
        ValueError: another shape, no row, or NaN.
    """
    embeddings, labels = np.asarray(embeddings), np.asarray(labels)
    if embeddings.ndim != 2 or not embeddings.size or labels.shape != embeddings.shape[:1]:
        raise ValueError(
            f"embeddings have the shape {embeddings.shape} and labels {labels.shape}; give (N, D) and (N,)"
        )
    if not np.isfinite(embeddings).all():
        raise ValueError("embeddings hold NaN or infinity; every value must be a finite number")
    return embeddings, labels
