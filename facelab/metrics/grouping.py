"""Group unknown faces: agglomerative clustering with average linkage, cut at a verification threshold.

Two groups are joined while the mean cosine over all pairs between them reaches the threshold, the most
similar first (by nearest-neighbor chains in O(N²): Murtagh 1983, https://doi.org/10.1093/comjnl/26.4.354).
Where names exist, pairs of faces tell how good a grouping is: precision is the share of grouped pairs that
are one person, recall the share of one person's pairs that are grouped.
"""

from dataclasses import dataclass

import numpy as np

from facelab.metrics.similarity import normalized

MOST = 25_000  # faces: their similarities take 2.5 GB


@dataclass(frozen=True, eq=False)
class Grouping:
    """Who belongs together.

    Attributes:
        groups: (N,) int64, the group of each face, 0 for the largest.
        threshold: mean cosine from which groups were joined.
        weakest: mean cosine of the weakest join; None without any.
        strongest: highest mean cosine between two groups that stayed apart; None for a single group.
    """

    groups: np.ndarray
    threshold: float
    weakest: float | None
    strongest: float | None

    def reason(self) -> str:
        """Return why the cut is where it is, in words."""
        said = (
            f"Two groups are joined while the mean cosine between their faces is {self.threshold:.3f} or more"
        )
        if self.weakest is not None:
            said += f"; the weakest join had {self.weakest:.3f}"
        if self.strongest is not None:
            said += f"; the most similar groups that stayed apart have {self.strongest:.3f}"
        return f"{said}."


def group(embeddings: np.ndarray, threshold: float) -> Grouping:
    """Group faces whose embeddings (N, D) are similar.

    Args:
        embeddings: finite, at most MOST rows.
        threshold: lowest mean cosine of a join.

    Raises:
        ValueError: no face, or too many at once.
    """
    if not 1 <= len(embeddings) <= MOST:
        raise ValueError(f"{len(embeddings):,} faces cannot be grouped at once; give 1 to {MOST:,}")
    x = normalized(embeddings)
    similarity = x @ x.T
    np.fill_diagonal(similarity, -np.inf)
    parent, joins = _join(similarity, threshold)
    while (parent != parent[parent]).any():
        parent = parent[parent]
    _, first, sizes = np.unique(parent, return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    groups = rank[np.searchsorted(np.unique(parent), parent)]
    left = similarity.max() if len(order) > 1 else -np.inf
    return Grouping(groups, threshold, min(joins, default=None), float(left) if np.isfinite(left) else None)


def _join(similarity: np.ndarray, threshold: float) -> tuple[np.ndarray, list[float]]:
    """Join groups along chains of nearest neighbors, in the matrix itself -> (parents, cosines of the joins).

    Rows of joined groups become -inf. A group whose nearest neighbor is below the threshold is done: a mean
    of what is below the threshold stays below it.
    """
    count = len(similarity)
    parent, size = np.arange(count), np.ones(count, np.float32)
    open_groups, joins, chain = np.ones(count, bool), [], []
    for start in range(count):
        if open_groups[start]:
            chain = [start]
        while chain:
            here = chain[-1]
            near = int(similarity[here].argmax())
            best = float(similarity[here, near])
            if best < threshold:
                open_groups[here] = False
                chain.pop()
                continue
            if len(chain) > 1 and similarity[here, chain[-2]] >= best:
                near = chain[-2]
                joins.append(float(similarity[here, near]))
                _merge(similarity, size, near, here)
                parent[here], open_groups[here] = near, False
                chain = chain[:-2]
                if not chain and open_groups[near]:
                    chain = [near]
            else:
                chain.append(near)
    return parent, joins


def _merge(similarity: np.ndarray, size: np.ndarray, keep: int, gone: int) -> None:
    """Give `keep` the mean similarity of both groups' faces to all others."""
    total = size[keep] + size[gone]
    row = (size[keep] * similarity[keep] + size[gone] * similarity[gone]) / total
    row[[keep, gone]] = -np.inf
    similarity[keep], similarity[:, keep] = row, row
    similarity[gone], similarity[:, gone] = -np.inf, -np.inf
    size[keep] = total


def pairwise_report(groups: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Evaluate a grouping by all pairs of faces of which it is known who they are.

    Args:
        groups: (N,).
        labels: (N,) int64, -1 where it is unknown.

    Returns:
        `precision`, `recall` and `f1` in [0, 1], NaN where there is no such pair; counts of `faces`,
        `people`, and `groups` among these.
    """
    known = labels >= 0
    groups, labels = groups[known], labels[known]
    both = _pairs(np.unique(np.stack([groups, labels]), axis=1, return_counts=True)[1])
    grouped, same = (_pairs(np.unique(x, return_counts=True)[1]) for x in (groups, labels))
    precision = both / grouped if grouped else np.nan
    recall = both / same if same else np.nan
    total = grouped + same
    return {
        "precision": precision, "recall": recall, "f1": 2 * both / total if total else np.nan,
        "faces": len(labels), "people": len(np.unique(labels)), "groups": len(np.unique(groups)),
    }  # fmt: skip


def _pairs(counts: np.ndarray) -> float:
    return float((counts * (counts - 1.0) / 2).sum())
