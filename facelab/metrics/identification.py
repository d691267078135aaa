"""Identification: one photo against a gallery of N people, closed set and open set.

Each person in the gallery is one template. In the closed set every probe has a mate in the gallery, and
rank-k is the share of probes whose mate is among the k best. In the open set some probes have none and must
be rejected by a threshold; the detection and identification rate (DIR) is the share of the other probes that
are still identified (Phillips, Grother and Micheals, "Evaluation Methods in Face Recognition", 2011).
"""

from dataclasses import dataclass

import numpy as np

from facelab.metrics.similarity import ScoreMatrix, checked, cosine_matrix, normalized
from facelab.metrics.verification import threshold_at_far

CHUNK = 512  # probes at once: 40 MB at most against 10,000 templates


@dataclass(frozen=True, eq=False)
class Search:
    """Result of searching a gallery with P probes.

    Attributes:
        top: (P,) the best score of any template.
        mate: (P,) the score of the probe's mate; NaN for an unmated probe.
        rank: (P,) int64, the mate's rank from 1; 0 for an unmated probe. Templates that tie with the mate
            rank before it, so that a model with constant scores identifies no one.
    """

    top: np.ndarray
    mate: np.ndarray
    rank: np.ndarray

    @property
    def mated(self) -> np.ndarray:
        """Return (P,) whether the probe's identity is in the gallery."""
        return self.rank > 0


@dataclass(frozen=True, eq=False)
class DirCurve:
    """Open-set rates at every distinct threshold, from strictest to loosest.

    Attributes:
        thresholds: (T,) decreasing, the first +inf, where no one is detected.
        far: (T,) share of unmated probes whose best score is at or above it.
        dir: (T,) share of mated probes whose mate has rank 1 and a score at or above it.
    """

    thresholds: np.ndarray
    far: np.ndarray
    dir: np.ndarray


def templates(embeddings: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute one template per person: the mean of the normalized embeddings, so that each photo has the same
    weight.

    Args:
        embeddings: (N, D).
        labels: (N,) identities.

    Returns:
        ((G, D) float32, not normalized again; (G,) their identities, sorted).

    Raises:
        ValueError: wrong shapes or NaN.
    """
    embeddings, labels = checked(embeddings, labels)
    people, person = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(people), embeddings.shape[1]), np.float32)
    np.add.at(sums, person, normalized(embeddings))
    return sums / np.bincount(person)[:, None].astype(np.float32), people


def search(
    gallery: np.ndarray,
    gallery_labels: np.ndarray,
    probes: np.ndarray,
    probe_labels: np.ndarray,
    score: ScoreMatrix = cosine_matrix,
) -> Search:
    """Compare every probe with every template, a few hundred probes at a time.

    Args:
        gallery: (G, D), one row per person.
        gallery_labels: (G,) identities, all different.
        probes: (P, D).
        probe_labels: (P,) identities; a probe whose identity is not in the gallery is unmated.
        score: function of two sets -> similarities of every pair.

    Raises:
        ValueError: wrong shapes, NaN, or an identity with two templates.
    """
    gallery, gallery_labels = checked(gallery, gallery_labels)
    probes, probe_labels = checked(probes, probe_labels)
    order = np.argsort(gallery_labels, kind="stable")
    gallery, people = gallery[order], gallery_labels[order]
    if (people[1:] == people[:-1]).any():
        twice = people[1:][people[1:] == people[:-1]][0]
        raise ValueError(f"the gallery has two templates of {twice}; merge them with `templates`")
    place = np.searchsorted(people, probe_labels).clip(max=len(people) - 1)
    mated = people[place] == probe_labels
    top, mate, rank = np.empty(len(probes)), np.empty(len(probes)), np.empty(len(probes), np.int64)
    for start in range(0, len(probes), CHUNK):
        part = slice(start, start + CHUNK)
        scores = score(probes[part], gallery)
        mates = np.take_along_axis(scores, place[part, None], 1)
        top[part], mate[part] = scores.max(1), mates[:, 0]
        rank[part] = (scores >= mates).sum(1)  # the mate itself makes it count from 1
    return Search(top, np.where(mated, mate, np.nan), np.where(mated, rank, 0))


def cmc(found: Search, ranks: int) -> np.ndarray:
    """Compute the cumulative match characteristic: (ranks,) share of mated probes whose mate has rank k or
    better.

    Raises:
        ValueError: there is no mated probe.
    """
    rank = _mated(found, found.rank)
    return np.array([(rank <= k).mean() for k in range(1, ranks + 1)])


def dir_at_far(found: Search, far: float) -> float:
    """Compute the detection and identification rate at rank 1, at the threshold whose false-alarm rate is at
    most `far`.

    DIR(t) is the share of mated probes whose mate has rank 1 and a score of t or more; FAR(t) is the share of
    unmated probes whose best score is t or more.

    Raises:
        ValueError: there is no mated or no unmated probe, or far is not in (0, 1].
    """
    return float((_detected(found) >= threshold_at_far(_unmated_top(found), far)).mean())


def dir_curve(found: Search) -> DirCurve:
    """Compute DIR and FAR at every distinct score.

    Raises:
        ValueError: there is no mated or no unmated probe.
    """
    detected, unmated = np.sort(_detected(found)), np.sort(_unmated_top(found))
    distinct = np.unique(np.concatenate([detected[np.isfinite(detected)], unmated]))[::-1]
    thresholds = np.append(np.inf, distinct)
    far, rate = ((len(side) - np.searchsorted(side, thresholds)) / len(side) for side in (unmated, detected))
    return DirCurve(thresholds, far, rate)


def _detected(found: Search) -> np.ndarray:
    """Return the mate's score of each mated probe; -inf where it is not at rank 1 and no threshold finds
    it.
    """
    return np.where(_mated(found, found.rank) == 1, _mated(found, found.mate), -np.inf)


def _mated(found: Search, values: np.ndarray) -> np.ndarray:
    if not found.mated.any():
        raise ValueError("there is no mated probe; give a second photo of someone in the gallery")
    return values[found.mated]


def _unmated_top(found: Search) -> np.ndarray:
    if found.mated.all():
        raise ValueError("there is no unmated probe; give photos of people who are not in the gallery")
    return found.top[~found.mated]
