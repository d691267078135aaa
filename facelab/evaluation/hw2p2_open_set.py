"""Open-set answer of the homework: which known person is on a photo, or none (`n000000`).

The person of the nearest known photo is the answer if the score reaches a threshold, as in the gallery of the
page. The threshold is the one with the highest accuracy on the part with answers; of several, the middle of
the widest range.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from facelab.data.images import printable
from facelab.data.lists import read_rows

NOBODY = "n000000"
ROWS = 1024  # probes that are compared at once


@dataclass(frozen=True)
class Threshold:
    """Hold a threshold, and the accuracy that it has on the part it was chosen on.

    Attributes:
        value: minimum cosine of a known person.
        accuracy: share of right answers, `n000000` included.
        images: number of images that it was chosen on.
    """

    value: float
    accuracy: float
    images: int


def nearest(gallery: np.ndarray, people: list[str], probes: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return the person of each probe's nearest known photo, and the cosine.

    Args:
        gallery: (N, D) unit vectors.
        people: N names.
        probes: (P, D) unit vectors.

    Returns:
        P names, and (P,) scores.
    """
    names, scores = [], []
    for start in range(0, len(probes), ROWS):
        table = probes[start : start + ROWS] @ gallery.T
        names += [people[k] for k in table.argmax(1)]
        scores.append(table.max(1))
    return names, np.concatenate(scores)


def choose_threshold(names: list[str], scores: np.ndarray, truth: list[str]) -> Threshold:
    """Return the threshold with the highest accuracy.

    Args:
        names: person of the nearest photo of each of P images.
        scores: (P,) its cosine.
        truth: P right answers, `n000000` for none of the known people.
    """
    right = np.array([name == who for name, who in zip(names, truth)])
    nobody = np.array([who == NOBODY for who in truth])
    levels = np.unique(scores)
    edges = np.r_[levels[0] - 0.1, levels, levels[-1] + 0.1]
    cuts = (edges[:-1] + edges[1:]) / 2  # below all, between neighbors, above all
    order = np.argsort(scores)
    below = np.searchsorted(scores[order], cuts)
    rejected = np.r_[0, np.cumsum(nobody[order])][below]
    accepted = right.sum() - np.r_[0, np.cumsum(right[order])][below]
    hits = rejected + accepted
    best = np.flatnonzero(hits == hits.max())
    cut = best[np.diff(edges)[best].argmax()]
    return Threshold(float(cuts[cut]), float(hits[cut] / len(truth)), len(truth))


def answer(names: list[str], scores: np.ndarray, threshold: float) -> list[str]:
    """Return the nearest person of each image, or `n000000` where the score is below the threshold."""
    return [name if score >= threshold else NOBODY for name, score in zip(names, scores)]


def read_answers(path: Path, images: list[str]) -> list[str]:
    """Return the right answer of each image.

    Args:
        path: a CSV with titles, of which one is `label`; its first column is the image, or counts the sorted
            images from 0.
        images: P image files, sorted.

    Raises:
        ValueError: no such file, no such column, or ids that are not those of the images.
    """
    rows = [row for _, row in read_rows(path, "id and label")]
    head = [field.lower() for field in rows[0]]
    if "label" not in head:
        raise ValueError(
            f"{path.name} needs a column `label`; it has {', '.join(map(printable, head))[:100]}"
        )
    body, place = rows[1:], head.index("label")
    if len(body) != len(images) or any(len(row) <= place for row in body):
        raise ValueError(
            f"{path.name} has {len(body)} answers for {len(images)} images; unpack the homework again"
        )
    keys = [PurePosixPath(row[0].replace("\\", "/")).name for row in body]
    answers = dict(zip(keys, (row[place] for row in body)))
    files = [PurePosixPath(name).name for name in images]
    stems = [PurePosixPath(name).stem for name in images]
    counted = [str(i) for i in range(len(images))]
    for ids in (files, stems, counted):
        if set(ids) == set(answers) and len(answers) == len(body):
            return [answers[key] for key in ids]
    if place == 0:  # labels alone, in the order of the images
        return [row[0] for row in body]
    raise ValueError(f"{path.name} names other images than its folder holds; unpack the homework again")
