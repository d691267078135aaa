"""Which photos of one run or two are drawn on maps, and whether the maps can be linked.

Two maps are linked data point by data point, so two runs are drawn on the photos that both have, in the same
order. Runs without common photos are drawn apart. What is too much for a map is sampled by whole identities.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from facelab.data.formats.vectors import Vectors
from facelab.evaluation.own_vectors import MOST_MAPPED, sample
from facelab.metrics.similarity import normalized

FEWEST = 3  # data points of a map


@dataclass(frozen=True, eq=False)
class Mapped:
    """What one map draws.

    Attributes:
        embeddings: (N, D) float32 of length 1, N at most 1,500.
        labels: (N,) identity of each, from 0.
        people: names of the identities.
        photos: photos with a known identity, of which the N are drawn.
        linked: whether the other map draws the same photos in the same order.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    people: tuple[str, ...]
    photos: int
    linked: bool = False


def mapped(runs: Mapping[str, Vectors]) -> dict[str, Mapped]:
    """Return what is drawn of each run; runs of fewer than three photos with a known identity, or of a single
    dimension, are left out.

    Args:
        runs: one or two by any key; of two with common photos one needs identities.
    """
    runs = {key: run for key, run in runs.items() if run.embeddings.shape[1] > 1}
    both = _common(*runs.values()) if len(runs) == 2 else None
    if both is not None:
        first, second = both
        found = _drawn(first)
        other = second[sample(first, MOST_MAPPED)]
        pair = found, replace(found, embeddings=normalized(other))
        return {key: replace(one, linked=True) for key, one in zip(runs, pair)}
    alone = {key: run for key, run in runs.items() if run.identities is not None}
    drawn = {key: _drawn(run) for key, run in alone.items()}
    return {key: one for key, one in drawn.items() if len(one.labels) >= FEWEST}


def _drawn(vectors: Vectors) -> Mapped:
    rows, people = sample(vectors, MOST_MAPPED), np.array(vectors.identities)
    names, labels = np.unique(people[rows], return_inverse=True)
    known = int((people != "").sum())
    return Mapped(normalized(vectors.embeddings[rows]), labels, tuple(map(str, names)), known)


def _common(first: Vectors, second: Vectors) -> tuple[Vectors, np.ndarray] | None:
    """Return the first run's photos that both have, and the second run's embeddings of them; None if they are
    too few.

    Identities are those of the first run that has any.
    """
    if first.identities is None and second.identities is None:
        return None
    place = {name: row for row, name in enumerate(second.names)}
    rows = [row for row, name in enumerate(first.names) if name in place]
    others = [place[first.names[row]] for row in rows]
    source, at = (first, rows) if first.identities is not None else (second, others)
    people = tuple(source.identities[row] for row in at)
    if sum(person != "" for person in people) < FEWEST:
        return None
    names = tuple(first.names[row] for row in rows)
    return Vectors(names, first.embeddings[rows], people), second.embeddings[others]
