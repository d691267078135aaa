"""Geometry on the hypersphere: compactness of identities, distances between them, and positions of
prototypes.

Angles are in degrees between normalized vectors. These are the statistics of ArcFace's table 3
(arXiv:1801.07698): W-EC is `prototype_to_center_angle`, W-Inter `nearest_prototype_angle`, Intra
`intra_class_angle` and Inter `inter_class_angle`; the paper's Intra1 and Inter1 are measured on the training
set (CASIA), Intra2 and Inter2 on unseen identities (LFW). A center is the mean of an identity's normalized
embeddings.
"""

import numpy as np

from facelab.metrics.similarity import checked, normalized

CHUNK = 1024


def class_centers(embeddings: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute feature centers, float64 and normalized: (N, D), (N,) -> ((K, D), (K,) sorted identities).

    Raises:
        ValueError: wrong shapes or NaN.
    """
    embeddings, labels = checked(embeddings, labels)
    people, person = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(people), embeddings.shape[1]))
    np.add.at(sums, person, normalized(embeddings, np.float64))
    return normalized(sums, np.float64), people


def intra_class_angle(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """Compute Intra: mean over embeddings of the angle to the center of their class, in degrees.

    An identity with one photo equals its center and would count as perfect, so it is omitted.

    Raises:
        ValueError: wrong shapes, NaN, or no identity with two photos.
    """
    embeddings, labels = checked(embeddings, labels)
    centers, _ = class_centers(embeddings, labels)
    _, person, count = np.unique(labels, return_inverse=True, return_counts=True)
    several = count[person] > 1
    if not several.any():
        raise ValueError("no identity has two photos; an intra-class angle needs them")
    return float(_angles(normalized(embeddings[several], np.float64), centers[person[several]]).mean())


def inter_class_angle(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """Compute Inter: mean over identities of the smallest angle between their center and another, in degrees.

    Raises:
        ValueError: wrong shapes, NaN, or one identity only.
    """
    return float(nearest_angles(class_centers(embeddings, labels)[0]).mean())


def prototype_to_center_angle(prototypes: np.ndarray, embeddings: np.ndarray, labels: np.ndarray) -> float:
    """Compute W-EC: mean over identities of the angle between their prototype and their center, in degrees.

    Args:
        prototypes: (C, D), the rows of the last layer's weight.
        embeddings: (N, D).
        labels: (N,) int in [0, C); classes without an embedding are omitted.

    Raises:
        ValueError: wrong shapes, NaN, or a label without a prototype.
    """
    prototypes, _ = checked(prototypes, np.arange(len(prototypes)))
    centers, classes = class_centers(embeddings, labels)
    if classes[0] < 0 or classes[-1] >= len(prototypes):
        raise ValueError(f"labels run from {classes[0]} to {classes[-1]}; legal: 0 to {len(prototypes) - 1}")
    return float(_angles(normalized(prototypes[classes], np.float64), centers).mean())


def nearest_prototype_angle(prototypes: np.ndarray) -> float:
    """Compute W-Inter: mean over prototypes (C, D) of the smallest angle to another, in degrees.

    Raises:
        ValueError: wrong shape, NaN, or one prototype only.
    """
    return float(nearest_angles(prototypes).mean())


def nearest_angles(vectors: np.ndarray) -> np.ndarray:
    """Compute the angle from each vector to its nearest other vector: (K, D) -> (K,) degrees, in [0, 180].

    Raises:
        ValueError: wrong shape, NaN, or one vector only.
    """
    vectors, _ = checked(vectors, np.arange(len(vectors)))
    if len(vectors) < 2:
        raise ValueError("there is one identity; an angle between identities needs two or more")
    unit = normalized(vectors, np.float64)
    nearest = np.empty(len(unit), np.intp)
    for start in range(0, len(unit), CHUNK):
        cosines = unit[start : start + CHUNK] @ unit.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -np.inf  # not itself
        nearest[start : start + CHUNK] = cosines.argmax(1)
    return _angles(unit, unit[nearest])


def norm_statistics(embeddings: np.ndarray) -> dict[str, float]:
    """Return {"mean", "std", "min", "median", "max"} of the norms of embeddings (N, D) before normalization.

    Raises:
        ValueError: wrong shape or NaN.
    """
    embeddings, _ = checked(embeddings, np.arange(len(embeddings)))
    norms = np.linalg.norm(embeddings.astype(np.float64), axis=1)
    names = ("mean", "std", "min", "median", "max")
    return {name: float(getattr(np, name)(norms)) for name in names}


def _angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute angles of paired unit rows, in degrees; accurate near 0 and 180, where arccos loses half the
    digits.
    """
    apart, together = (np.linalg.norm(v, axis=-1) for v in (a - b, a + b))
    return np.degrees(2 * np.arctan2(apart, together))
