"""What embeddings with labels show without photos or a model: verification over all pairs, the geometry, the
nearest identities, and calibration where class scores come along; and whether one of two runs is better.

Two runs are compared on the images that both have: whole identities are drawn, the same ones for both (the
paired subset bootstrap of Bolle, Ratha and Pankanti, 2004), so that what makes images hard for both cancels.
"""

import numpy as np

from facelab.data.formats.vectors import Vectors
from facelab.evaluation.protocols import Embedded, judge_all_pairs
from facelab.metrics.closed_set import classification_report
from facelab.metrics.confidence import difference_by_identity
from facelab.metrics.verification import all_pairs, cosine

MOST_MAPPED = 1500  # images of a live map and of the histograms; more are sampled
MOST_COMPARED = 1000  # images of a paired bootstrap, half a million pairs
BINS = 60
NEAREST = 10


def as_embedded(vectors: Vectors) -> Embedded:
    """Return the vectors as the protocols take them.

    Raises:
        ValueError: they have no labels.
    """
    if vectors.identities is None:
        raise ValueError("the embeddings have no labels; add an array 'labels', or give a list of pairs")
    people = {name: person for name, person in zip(vectors.names, vectors.identities) if person}
    return Embedded(dict(zip(vectors.names, vectors.embeddings)), {}, cosine, people)


def judge_vectors(vectors: Vectors, seed: int = 0) -> dict[str, object]:
    """Return everything that labeled embeddings show.

    Args:
        vectors: with identities.
        seed: of the sample.

    Returns:
        `judge_all_pairs`, with "sample": rows to draw (up to 1,500), "histogram": {"edges", "genuine",
        "impostor" (shares)} of the sample's pairs, "nearest": `nearest_identities`, and "calibration":
        `classification_report` where logits are given and labels are their columns.

    Raises:
        ValueError: no labels, or no genuine or impostor pair.
    """
    embedded = as_embedded(vectors)
    report = judge_all_pairs(embedded)
    rows = sample(vectors, MOST_MAPPED, seed)
    people = np.array(vectors.identities)
    genuine, impostor = all_pairs(vectors.embeddings[rows], people[rows])
    edges = np.linspace(-1, 1, BINS + 1)
    shares = [np.histogram(scores, edges)[0] / max(len(scores), 1) for scores in (genuine, impostor)]
    report |= {"sample": rows, "nearest": nearest_identities(vectors.embeddings, people)}
    report["histogram"] = {"edges": edges, "genuine": shares[0], "impostor": shares[1]}
    columns = class_columns(vectors)
    if columns is not None:
        report["calibration"] = classification_report(vectors.logits, columns)
    return report


def class_columns(vectors: Vectors) -> np.ndarray | None:
    """Return the labels as columns of the logits, if every one is such a number."""
    if vectors.logits is None or not all(person.isdecimal() for person in vectors.identities):
        return None
    labels = np.array([int(person) for person in vectors.identities])
    return labels if labels.max() < vectors.logits.shape[1] else None


def sample(vectors: Vectors, most: int, seed: int = 0) -> np.ndarray:
    """Return up to `most` sorted rows with a known identity; whole identities are drawn, so that pairs
    stay.
    """
    people = np.array(vectors.identities)
    known = np.flatnonzero(people != "")
    if len(known) <= most:
        return known
    order = np.random.default_rng(seed).permutation(np.unique(people[known]))
    place = {person: i for i, person in enumerate(order)}
    rank = np.array([place[person] for person in people[known]])
    return np.sort(known[np.argsort(rank, kind="stable")][:most])


def nearest_identities(
    embeddings: np.ndarray, people: np.ndarray, most: int = NEAREST
) -> list[tuple[str, str, float]]:
    """Return the pairs of identities whose centers are nearest -> [(one, other, angle in degrees), ...].

    Args:
        embeddings: (N, D).
        people: (N,) identities, "" where it is not known.
        most: how many; each identity is compared with its nearest other one.
    """
    known = people != ""
    names, place = np.unique(people[known], return_inverse=True)
    unit = embeddings[known] / np.maximum(np.linalg.norm(embeddings[known], axis=1, keepdims=True), 1e-12)
    centers = np.zeros((len(names), embeddings.shape[1]), np.float32)
    np.add.at(centers, place, unit)
    centers /= np.maximum(np.linalg.norm(centers, axis=1, keepdims=True), 1e-12)
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(names), 1024):
        cosines = centers[start : start + 1024] @ centers.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -2
        for row, other in zip(rows, cosines.argmax(1)):
            found[tuple(sorted((start + int(row), int(other))))] = float(cosines[row, other])
    nearest = sorted(found.items(), key=lambda item: -item[1])[:most] if len(names) > 1 else []
    return [
        (str(names[a]), str(names[b]), float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
        for (a, b), cosine in nearest
    ]


def compare_vectors(first: Vectors, second: Vectors, seed: int = 0) -> dict[str, object]:
    """Return whether one of two runs is better on the images that both have, and whether that is chance.

    Args:
        first, second: with the same names; identities are those of `first`.
        seed: of the sample of up to 1,000 images and of the draws.

    Returns:
        `difference_by_identity` (first minus second) with "images", "pairs" and "decided": whether the EER's
        interval leaves 0 out.

    Raises:
        ValueError: no labels, fewer than two common images, or no pair of one of the kinds.
    """
    place = {name: row for row, name in enumerate(second.names)}
    as_embedded(first)  # refuses what has no labels
    rows = [row for row, name in enumerate(first.names) if name in place and first.identities[row]]
    if len(rows) < 2:
        raise ValueError("the two files have fewer than two images in common; their names must be the same")
    people = tuple(first.identities[row] for row in rows)
    common = Vectors(tuple(first.names[row] for row in rows), first.embeddings[rows], people)
    chosen = sample(common, MOST_COMPARED, seed)
    labels = np.unique(np.array(people)[chosen], return_inverse=True)[1]
    others = second.embeddings[[place[common.names[row]] for row in chosen]]
    scores = [_matrix_pairs(vectors) for vectors in (common.embeddings[chosen], others)]
    a, b = np.triu_indices(len(chosen), 1)
    same = labels[a] == labels[b]
    found = difference_by_identity(
        *((side[same], side[~same]) for side in scores), labels[a][same], np.stack([labels[a], labels[b]],
        1)[~same], resamples=200, seed=seed,
    )  # fmt: skip
    _, low, high = found["eer"]
    return found | {"images": len(chosen), "pairs": len(same), "decided": not low <= 0 <= high}


def _matrix_pairs(vectors: np.ndarray) -> np.ndarray:
    """Return cosines of all pairs, in the order of `triu_indices`."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return (unit @ unit.T)[np.triu_indices(len(vectors), 1)].astype(np.float64)
