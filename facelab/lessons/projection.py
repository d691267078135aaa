"""Maps: embeddings projected to two or three dimensions.

PCA (Pearson 1901) keeps the directions of largest variance and is an exact linear projection. UMAP (McInnes
et al. 2018, arXiv:1802.03426) keeps neighbors: it shows clusters well, while distances between clusters,
their sizes and their positions mean little. Both can mislead; measure in the original space.
"""

import functools
import threading
from dataclasses import dataclass

import numpy as np

from facelab.settings.extras import explained

MOST = 1500  # points: UMAP of more takes longer than anybody waits for
NEIGHBORS = 15  # UMAP's own default for n_neighbors
NEAREST = 5  # neighbors among which a new point is placed


@dataclass(frozen=True, eq=False)
class Pca:
    """Mean and leading principal axes of a set of points.

    Attributes:
        mean: (D,).
        axes: (d, D), orthonormal rows, largest spread first; the largest entry of each is positive.
        share: share of the variance along these axes, in [0, 1].
    """

    mean: np.ndarray
    axes: np.ndarray
    share: float

    def project(self, embeddings: np.ndarray) -> np.ndarray:
        """Project (N, D) -> (N, d) float32; the map is linear, so points that were not fitted are projected
        exactly.
        """
        return ((embeddings - self.mean) @ self.axes.T).astype(np.float32)


def fit_pca(embeddings: np.ndarray, dims: int) -> Pca:
    """Compute principal components by singular values, exactly.

    Args:
        embeddings: (N, D), finite.
        dims: d, 2 or 3.

    Raises:
        ValueError: dims is neither, or there are too few or too many points.
    """
    embeddings = _checked(embeddings, dims, least=dims + 1).astype(np.float64)
    mean = embeddings.mean(0)
    _, spread, axes = np.linalg.svd(embeddings - mean, full_matrices=False)
    axes, variance = axes[:dims], spread**2
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]  # a sign is arbitrary
    return Pca(mean, axes, float(variance[:dims].sum() / max(variance.sum(), 1e-12)))


def umap_map(embeddings: np.ndarray, dims: int, neighbors: int = NEIGHBORS, seed: int = 0) -> np.ndarray:
    """Compute UMAP with the cosine distance: (N, D) -> (N, d) float32; equal seeds give equal maps.

    The first call of a process compiles for half a minute; see `warm_up`.

    Args:
        embeddings: (N, D), finite.
        dims: d, 2 or 3.
        neighbors: n_neighbors, 2 to N - 1; small values show small clusters, large values large ones.
        seed: 0, 1, 2, ...

    Raises:
        ValueError: any of these does not hold, or there are more than 1,500 points.
    """
    if neighbors < 2 or seed < 0:
        raise ValueError(f"n_neighbors {neighbors} and seed {seed} are out of range; give at least 2 and 0")
    embeddings = _checked(embeddings, dims, least=max(neighbors + 1, dims + 2)).astype(np.float32)
    with explained():
        from umap import UMAP  # seconds, and only here

    reducer = UMAP(neighbors, dims, metric="cosine", random_state=seed, n_jobs=1)
    return np.asarray(reducer.fit_transform(embeddings), np.float32)


@functools.cache
def warm_up() -> threading.Thread:
    """Start UMAP's compilation in the background, once per process; `join` the returned thread to wait for
    it.
    """
    cloud = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    thread = threading.Thread(target=umap_map, args=(cloud, 2), daemon=True, name="umap-warm-up")
    thread.start()
    return thread


def place(coordinates: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """Place a new point on a finished map: among its 5 nearest points, each weighted by its cosine.

    Approximate: a map fitted with the point would differ slightly.

    Args:
        coordinates: (N, d) of the map.
        cosines: (N,) of the new point with each point of the map; negative ones have weight zero.

    Returns:
        (d,) float32.
    """
    nearest = np.argsort(-cosines, kind="stable")[:NEAREST]
    weights = np.maximum(cosines[nearest], 0).astype(np.float64)
    weights = weights if weights.any() else np.ones(len(nearest))
    return (weights @ coordinates[nearest] / weights.sum()).astype(np.float32)


def _checked(embeddings: np.ndarray, dims: int, least: int) -> np.ndarray:
    embeddings = np.asarray(embeddings)
    if dims not in (2, 3):
        raise ValueError(f"a map has 2 or 3 dimensions, not {dims}")
    if embeddings.ndim != 2 or embeddings.shape[1] < dims or not np.isfinite(embeddings).all():
        raise ValueError(
            f"embeddings are {embeddings.shape}; they must be finite numbers (N, D), D >= {dims}"
        )
    if not least <= len(embeddings) <= MOST:
        raise ValueError(
            f"a map needs {least} to {MOST:,} points, not {len(embeddings):,}; take another sample"
        )
    return embeddings
