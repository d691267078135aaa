"""Verification metrics: error rates of genuine and impostor scores.

Scores are similarities and a pair is accepted when `score >= threshold`. The false-accept rate (FAR) is the
share of impostor pairs accepted, the false-reject rate (FRR) the share of genuine pairs rejected. Every
figure here comes from sorting the scores once, so it is exact, ties included.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Score = Callable[[np.ndarray, np.ndarray], np.ndarray]
FARS = (1e-1, 1e-2, 1e-3)


@dataclass(frozen=True, eq=False)
class Roc:
    """Error rates at every distinct threshold, from strictest to loosest.

    Attributes:
        thresholds: (T,) decreasing, the first +inf, where nothing is accepted.
        far: (T,) false-accept rates, increasing from 0 to 1.
        tar: (T,) true-accept rates, increasing from 0 to 1.
    """

    thresholds: np.ndarray
    far: np.ndarray
    tar: np.ndarray

    @property
    def frr(self) -> np.ndarray:
        """Return (T,) false-reject rates, decreasing from 1 to 0."""
        return 1 - self.tar

    def auc(self) -> float:
        """Return the area under the curve by trapezoids, which counts a tie of a genuine and an impostor pair
        half.
        """
        return float(np.trapezoid(self.tar, self.far))

    def equal_error_rate(self) -> tuple[float, float]:
        """Return (EER, its threshold), where FAR = FRR on the straight lines between the points."""
        gap = self.far - self.frr  # rises from -1 to 1
        after = int(np.argmax(gap >= 0))
        before = after - 1
        share = -gap[before] / (gap[after] - gap[before])
        rate = self.far[before] + share * (self.far[after] - self.far[before])
        low = self.thresholds[after]
        high = self.thresholds[before] if np.isfinite(self.thresholds[before]) else low
        return float(rate), float(high + share * (low - high))

    def tar_at_far(self, far: float) -> float:
        """Return the highest true-accept rate of the points whose false-accept rate is at most `far`.

        Raises:
            ValueError: far is not in (0, 1].
        """
        _check_rate(far)
        return float(self.tar[np.searchsorted(self.far, far + 1e-12, side="right") - 1])

    def figures(self, fars: Sequence[float] = FARS) -> dict[str, object]:
        """Return {"eer", "auc", "tar_at_far": {rate: TAR}}, as a report prints them."""
        tar = {f"{far:g}": self.tar_at_far(far) for far in fars}
        return {"eer": self.equal_error_rate()[0], "auc": self.auc(), "tar_at_far": tar}


def supported_fars(fars: Sequence[float], impostors: int) -> list[float]:
    """Return the rates that the data support: those at which at least one impostor pair may be accepted.

    Below that the threshold lies above every impostor score, and the figure does not estimate the rate.

    Args:
        fars: rates in (0, 1].
        impostors: number of impostor pairs (or unmated probes).
    """
    return [far for far in fars if far * impostors >= 1 - 1e-9]  # 0.001 of 1,000 is 1, however it is rounded


def _check_rate(far: float) -> None:
    if not 0 < far <= 1:
        raise ValueError(f"far is {far}; it must lie in (0, 1]")


def _checked(genuine: np.ndarray, impostor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _finite("genuine", genuine), _finite("impostor", impostor)


def _finite(name: str, scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, np.float64).ravel()
    if not len(scores):
        raise ValueError(f"there is no {name} score; verification needs pairs of both kinds")
    if not np.isfinite(scores).all():
        raise ValueError(f"{name} scores hold NaN or infinity; every score must be a finite number")
    return scores


def _accepted(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return how many scores are at or above each threshold."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")


def roc(genuine: np.ndarray, impostor: np.ndarray) -> Roc:
    """Compute the receiver operating characteristic over all distinct scores.

    Args:
        genuine: (G,) scores of genuine pairs.
        impostor: (I,) scores of impostor pairs.

    Raises:
        ValueError: a side is empty or holds NaN.
    """
    genuine, impostor = _checked(genuine, impostor)
    distinct = np.unique(np.concatenate([genuine, impostor]))[::-1]
    thresholds = np.concatenate([[np.inf], distinct])
    far = _accepted(impostor, thresholds) / len(impostor)
    tar = _accepted(genuine, thresholds) / len(genuine)
    return Roc(thresholds, far, tar)


def auc(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """Compute the area under the ROC: the probability that a genuine pair outscores an impostor pair, ties
    counting half.
    """
    return roc(genuine, impostor).auc()


def equal_error_rate(genuine: np.ndarray, impostor: np.ndarray) -> tuple[float, float]:
    """Compute the EER and its threshold: where FAR = FRR on the ROC's line segments.

    Between two thresholds the curve is linear, which determines the figure when scores tie.
    """
    return roc(genuine, impostor).equal_error_rate()


def thresholds_at_far(impostor: np.ndarray, fars: Sequence[float]) -> np.ndarray:
    """Return, for each rate, the lowest threshold that accepts at most that share of the impostor pairs.

    For a rate of 1, which no threshold exceeds, it is the lowest impostor score.

    Args:
        impostor: (I,) scores of impostor pairs.
        fars: F rates in (0, 1].

    Returns:
        (F,) thresholds.

    Raises:
        ValueError: a rate is out of range, there is no score, or one is NaN.
    """
    for far in fars:
        _check_rate(far)
    ordered = np.sort(_finite("impostor", impostor))[::-1]
    allowed = np.floor(np.asarray(fars) * len(ordered) + 1e-9).astype(int)
    just_above = np.nextafter(ordered[np.minimum(allowed, len(ordered) - 1)], np.inf)
    return np.where(allowed < len(ordered), just_above, ordered[-1])


def threshold_at_far(impostor: np.ndarray, far: float) -> float:
    """Return `thresholds_at_far` for one rate."""
    return float(thresholds_at_far(impostor, [far])[0])


def tar_at_far(genuine: np.ndarray, impostor: np.ndarray, far: float) -> float:
    """Return the true-accept rate at the threshold whose false-accept rate is at most `far`."""
    genuine, impostor = _checked(genuine, impostor)
    return float((genuine >= threshold_at_far(impostor, far)).mean())


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """Return the threshold with the highest accuracy; of several, the middle of the highest-scoring
    interval.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, truth = scores[order], same[order].astype(bool)
    right = np.concatenate([[0], np.cumsum(np.where(truth, 1, -1))]) + (~truth).sum()
    cut_here = np.concatenate([[True], ordered[1:] != ordered[:-1], [True]])  # equal scores share a decision
    best = int(np.argmax(np.where(cut_here, right, -1)))
    upper = ordered[best - 1] if best else ordered[0] + 1
    lower = ordered[best] if best < len(ordered) else ordered[-1] - 1
    middle = (upper + lower) / 2
    return float(middle if middle > lower else upper)  # neighbors in floating point have no middle


def fold_accuracy(scores: np.ndarray, same: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Compute LFW's accuracy: each fold is evaluated at the threshold that is best on all other folds.

    Args:
        scores: (P,) similarities.
        same: (P,) whether the pair is genuine.
        folds: (P,) fold of each pair; with a single fold, the threshold is its best one.

    Returns:
        (F,) accuracy of each fold, in [0, 1]; their mean is the published figure.
    """
    scores, same = np.asarray(scores, np.float64), np.asarray(same, bool)
    _checked(scores[same], scores[~same])
    kinds = np.unique(folds)
    accuracy = np.empty(len(kinds))
    for i, fold in enumerate(kinds):
        test = folds == fold
        rest = ~test if len(kinds) > 1 else test
        threshold = best_threshold(scores[rest], same[rest])
        accuracy[i] = ((scores[test] >= threshold) == same[test]).mean()
    return accuracy


def verification_report(scores: np.ndarray, same: np.ndarray, folds: np.ndarray) -> dict[str, object]:
    """Return the figures of one pairs list: accuracy and its standard deviation over folds, EER, AUC and TAR.

    TAR is given at those of FARS that the list's impostor pairs support.
    """
    scores, same = np.asarray(scores), np.asarray(same, bool)
    accuracy = fold_accuracy(scores, same, folds)
    return {
        "accuracy": float(accuracy.mean()),
        "accuracy_std": float(accuracy.std(ddof=1)) if len(accuracy) > 1 else 0.0,
        "fold_accuracy": accuracy,
        **roc(scores[same], scores[~same]).figures(supported_fars(FARS, int((~same).sum()))),
    }


def cosine(gallery: np.ndarray, probe: np.ndarray) -> np.ndarray:
    """Compute the cosine similarity of paired rows: (N, D), (N, D) -> (N,) in [-1, 1]; 0 where a vector is
    zero.
    """
    norms = np.linalg.norm(gallery, axis=-1) * np.linalg.norm(probe, axis=-1)
    return np.clip((gallery * probe).sum(-1) / np.maximum(norms, 1e-12), -1, 1)


def all_pairs(
    embeddings: np.ndarray, labels: np.ndarray, score: Score = cosine
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the scores of all N(N-1)/2 pairs -> (genuine, impostor), float32.

    Meant for a few thousand embeddings: the scores are held in memory.

    Args:
        embeddings: (N, D).
        labels: (N,) identities.
        score: function of paired rows -> similarities.
    """
    genuine, impostor = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
    for i in range(len(embeddings) - 1):
        scores = score(embeddings[i : i + 1], embeddings[i + 1 :]).astype(np.float32)
        same = labels[i + 1 :] == labels[i]
        genuine.append(scores[same])
        impostor.append(scores[~same])
    return np.concatenate(genuine), np.concatenate(impostor)
