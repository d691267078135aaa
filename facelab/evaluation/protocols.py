"""Protocols of papers on embedded images: a list of pairs, all pairs, and identification.

Each takes embeddings of any origin and returns one report. For a photo without an embedding, a list counts
its pairs as wrong in `accuracy_all`; the other protocols count it as skipped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facelab.data.identities import identify
from facelab.data.pairs import Pairs, suspicious
from facelab.evaluation.conditions import judge_subsets
from facelab.metrics.confidence import (
    difference_by_pair,
    intervals_by_identity,
    intervals_by_pair,
    mean_interval,
)
from facelab.metrics.geometry import inter_class_angle, intra_class_angle
from facelab.metrics.identification import Search, cmc, dir_at_far, search
from facelab.metrics.similarity import ScoreMatrix, cosine_matrix
from facelab.metrics.streaming import ALL_PAIRS_FARS, stream_roc
from facelab.metrics.verification import FARS, Score, cosine, supported_fars, verification_report
from facelab.recognition.embedder import MATRICES

MAX_IMAGES_FOR_INTERVALS = 2000  # two million pairs, each weighed anew in every draw
DRAWS_OF_ALL_PAIRS = 200


@dataclass(frozen=True, eq=False)
class Embedded:
    """Images as embeddings.

    Attributes:
        vectors: {image: (D,) embedding}.
        failures: {image: why there is none}.
        score: function of paired rows -> similarities.
        people: {image: identity} from the source; None if only the names of the images are known.
    """

    vectors: dict[str, np.ndarray]
    failures: dict[str, str]
    score: Score
    people: Mapping[str, str] | None = None

    def labeled(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ((N,) names, (N, D) embeddings, (N,) identities) of the images whose identity is known.

        Raises:
            ValueError: there is no embedding, or no identity follows from the names.
        """
        if not self.vectors:
            name, reason = next(iter(self.failures.items()))
            raise ValueError(f"no photo could be embedded; {name}: {reason}")
        people = self.people
        if people is None:
            people = identify([*self.vectors, *self.failures]).people
        known = [name for name in self.vectors if people.get(name)]
        if not known:
            raise ValueError(
                "none of the images with an embedding has a known identity; put each person's images into a "
                "folder, or add labels to the file of embeddings"
            )
        embeddings = np.stack([self.vectors[name] for name in known])
        return np.array(known), embeddings, np.array([people[name] for name in known])

    def matrix(self) -> tuple[ScoreMatrix, tuple[float, float]]:
        """Return (the score for every pair of two sets, its lowest and highest value)."""
        if self.score is cosine:
            return cosine_matrix, (-1.0, 1.0)
        longest = max(float(np.linalg.norm(vector)) for vector in self.vectors.values())
        return MATRICES[self.score], (1 - 2 * longest, 1.0)


def judge_pairs(
    embedded: Embedded, pairs: Pairs, names: Sequence[str], intervals: bool = False
) -> dict[str, object]:
    """Evaluate verification on a list of pairs, by LFW's protocol.

    Args:
        embedded: the images' embeddings.
        pairs: P pairs.
        names: 2P image names, all first images, then all second images.
        intervals: add 95 % bootstrap intervals, for which pairs are drawn.

    Returns:
        {"accuracy", "accuracy_std" (over folds), "accuracy_all", "eer", "auc", "tar_at_far" (at rates that
        the list supports), "pairs", "skipped", "failures": {image: why}}, the counts of `suspicious`, and
        "interval": {"eer", "auc", "tar_at_far"} on request.

    Raises:
        ValueError: too few pairs.
    """
    failures = embedded.failures
    kept, scores = score_pairs(embedded, names)
    same = pairs.same[kept]
    report = verification_report(scores, same, pairs.folds[kept])
    report["accuracy_all"] = _accuracy_all(report.pop("fold_accuracy"), kept, pairs.folds)
    if intervals:
        report["interval"] = intervals_by_pair(scores[same], scores[~same])
    report |= suspicious(names, pairs.same)
    return report | {"pairs": len(pairs), "skipped": int((~kept).sum()), "failures": failures}


def judge_difference(
    embedded: Embedded, other: Embedded, pairs: Pairs, names: Sequence[str]
) -> dict[str, object]:
    """Return the differences of two models on the pairs that both can score -> `difference_by_pair`, and
    "pairs".

    Raises:
        ValueError: too few pairs.
    """
    (kept, scores), (theirs, other_scores) = score_pairs(embedded, names), score_pairs(other, names)
    both = kept & theirs
    same, sides = pairs.same[both], (scores[both[kept]], other_scores[both[theirs]])
    return difference_by_pair(*((side[same], side[~same]) for side in sides)) | {"pairs": int(both.sum())}


def score_pairs(embedded: Embedded, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Score the pairs that have two vectors.

    Returns:
        ((P,) boolean, which pairs these are; their scores, float64).

    Raises:
        ValueError: there is none.
    """
    gallery, probes = _both(embedded.vectors, names)
    kept = np.array([a is not None and b is not None for a, b in zip(gallery, probes)])
    if not kept.any():
        name, reason = next(iter(embedded.failures.items()))
        raise ValueError(f"no pair could be scored; {name}: {reason}")
    rows = [np.stack([row for row, keep in zip(side, kept) if keep]) for side in (gallery, probes)]
    return kept, embedded.score(*rows).astype(np.float64)


def _both(values: Mapping[str, np.ndarray], names: Sequence[str]) -> tuple[list[np.ndarray | None], ...]:
    """Return the values of all first images, and of all second images."""
    found = [values.get(name) for name in names]
    return found[: len(found) // 2], found[len(found) // 2 :]


def judge_conditions(
    embedded: Embedded,
    pairs: Pairs,
    names: Sequence[str],
    measured: Mapping[str, np.ndarray],
    threshold: float,
) -> dict[str, dict[str, dict[str, float]]]:
    """Evaluate a list's pairs in thirds by pose, low light, blur and size of their photos.

    Args:
        embedded, pairs, names: as in `judge_pairs`.
        measured: {image: (4,) `conditions`} of every image that has an embedding.
        threshold: threshold of the score.

    Returns:
        `judge_subsets`.

    Raises:
        ValueError: too few pairs.
    """
    kept, scores = score_pairs(embedded, names)
    first, second = (
        np.stack([row for row, keep in zip(side, kept) if keep]) for side in _both(measured, names)
    )
    return judge_subsets(scores, pairs.same[kept], first, second, threshold)


def _accuracy_all(fold_accuracy: np.ndarray, kept: np.ndarray, folds: np.ndarray) -> float:
    """Compute the mean accuracy over all folds, with omitted pairs as wrong; a fold of omitted pairs counts
    as 0.
    """
    share = np.array([kept[folds == fold].mean() for fold in np.unique(folds[kept])])
    return float((fold_accuracy * share).sum() / len(np.unique(folds)))


def judge_all_pairs(embedded: Embedded, intervals: bool = False) -> dict[str, object]:
    """Evaluate verification on all pairs of the images, streamed, with the angles within and between
    identities.

    Args:
        embedded: the images' embeddings and identities.
        intervals: add 95 % bootstrap intervals, for which whole people are drawn; for 2,000 images at most.

    Returns:
        {"eer", "auc", "tar_at_far" (1e-1 to 1e-6, if an impostor pair supports it), "error" (maximum error of
        streaming, see `StreamedRoc`), "genuine_pairs", "impostor_pairs", "intra_class_angle",
        "inter_class_angle" (degrees), "identities", "images", "skipped", "failures"}, and "interval" on
        request.

    Raises:
        ValueError: no genuine or no impostor pair, or too many images for intervals.
    """
    _, embeddings, labels = embedded.labeled()
    if intervals and len(labels) > MAX_IMAGES_FOR_INTERVALS:
        raise ValueError(
            f"intervals of all pairs are drawn for {MAX_IMAGES_FOR_INTERVALS:,} images at most, not for "
            f"{len(labels):,}; leave --intervals out or give a list of pairs"
        )
    score, limits = embedded.matrix()
    streamed = stream_roc(embeddings, labels, score, limits)
    report = streamed.curve.figures(supported_fars(ALL_PAIRS_FARS, streamed.impostor_pairs)) | {
        "error": streamed.error,
        "genuine_pairs": streamed.genuine_pairs,
        "impostor_pairs": streamed.impostor_pairs,
        "intra_class_angle": intra_class_angle(embeddings, labels),
        "inter_class_angle": inter_class_angle(embeddings, labels),
    }
    if intervals:
        report["interval"] = _all_pairs_intervals(score(embeddings, embeddings), labels)
    return report | _counts(embedded, labels)


def _all_pairs_intervals(scores: np.ndarray, labels: np.ndarray) -> dict[str, object]:
    _, person = np.unique(labels, return_inverse=True)
    first, second = np.triu_indices(len(labels), 1)
    same = person[first] == person[second]
    values = scores[first, second]
    strangers = np.stack([person[first[~same]], person[second[~same]]], 1)
    return intervals_by_identity(
        values[same], values[~same], person[first[same]], strangers, DRAWS_OF_ALL_PAIRS
    )


def _counts(embedded: Embedded, labels: np.ndarray) -> dict[str, object]:
    return {
        "identities": len(np.unique(labels)),
        "images": len(labels),
        "skipped": len(embedded.failures),
        "failures": embedded.failures,
    }


def judge_identification(embedded: Embedded, intervals: bool = False, seed: int = 0) -> dict[str, object]:
    """Evaluate closed-set and open-set identification, with one photo per person in the gallery.

    The gallery holds everyone's first image by name, and all others are probes: the closed set. For the open
    set a random half of the people is removed from the gallery, and all their images are unmated probes.

    Args:
        embedded: the images' embeddings and identities.
        intervals: add 95 % bootstrap intervals of the closed set's ranks, for which whole people are drawn.
        seed: seed of the choice of unenrolled people.

    Returns:
        {"rank_1", "rank_5", "gallery", "probes", "open_set": {"dir_at_far" (1e-1 to 1e-3, if an unmated probe
        supports it), "gallery", "mated_probes", "unmated_probes"}, "identities", "images", "skipped",
        "failures"}, and "interval": {"rank_1", "rank_5"} on request.

    Raises:
        ValueError: no person has a second image, or none of the enrolled half, or there is one person only.
    """
    names, embeddings, labels = embedded.labeled()
    enrolled = _first_of_each(names, labels)
    people = np.unique(labels)
    if enrolled.all():
        raise ValueError("no identity has a second image to use as a probe; add images")
    if len(people) < 2:
        raise ValueError("all images show one person; identification needs two people or more")
    score, _ = embedded.matrix()
    closed = _search(embeddings, labels, enrolled, score)
    known = ~np.isin(labels, np.random.default_rng(seed).permutation(people)[: len(people) // 2])
    rank_1, rank_5 = cmc(closed, 5)[[0, 4]]
    report = {
        "rank_1": float(rank_1),
        "rank_5": float(rank_5),
        "gallery": int(enrolled.sum()),
        "probes": len(closed.rank),
        "open_set": _open_set(_search(embeddings, labels, enrolled & known, score)),
    }
    report["open_set"]["gallery"] = int((enrolled & known).sum())
    if intervals:
        hits = {"rank_1": closed.rank <= 1, "rank_5": closed.rank <= 5}
        report["interval"] = {name: mean_interval(hit, labels[~enrolled]) for name, hit in hits.items()}
    return report | _counts(embedded, labels)


def _first_of_each(names: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return (N,) whether an image is the first by name of its identity."""
    order = np.lexsort((names, labels))
    first = np.zeros(len(labels), bool)
    first[order[np.unique(labels[order], return_index=True)[1]]] = True
    return first


def _search(embeddings: np.ndarray, labels: np.ndarray, enrolled: np.ndarray, score: ScoreMatrix) -> Search:
    return search(embeddings[enrolled], labels[enrolled], embeddings[~enrolled], labels[~enrolled], score)


def _open_set(found: Search) -> dict[str, object]:
    unmated = int((~found.mated).sum())
    return {
        "dir_at_far": {f"{far:g}": dir_at_far(found, far) for far in supported_fars(FARS, unmated)},
        "mated_probes": int(found.mated.sum()),
        "unmated_probes": unmated,
    }
