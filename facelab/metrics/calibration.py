"""Calibration: of the predictions with confidence 0.9, are 90% correct?

Reliability bins compare confidence with accuracy, and the expected calibration error (ECE) is their mean
absolute difference. Temperature scaling divides all logits by one number T, which changes no decision and
usually removes most of the error (Guo et al., "On Calibration of Modern Neural Networks", arXiv:1706.04599).
For scores of pairs, `isotonic` and operating points' logistic fit map a similarity to a probability.
"""

from dataclasses import dataclass

import numpy as np

from facelab.settings.extras import explained

BINS = 15  # as Guo et al. and torchmetrics; netcal takes 10
TEMPERATURES = (0.01, 100.0)


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidence and accuracy by equal bins of the confidence: [0, 1/M), ..., [1 - 1/M, 1].

    Attributes:
        edges: (M + 1,) from 0 to 1.
        count: (M,) int64, predictions per bin.
        confidence: (M,) mean confidence; NaN in an empty bin.
        accuracy: (M,) share of correct predictions; NaN in an empty bin.
    """

    edges: np.ndarray
    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    def ece(self) -> float:
        """Return the expected calibration error: mean of |accuracy - confidence|, weighted by count (eq.
        3).
        """
        gap = np.abs(self.accuracy - self.confidence)
        return float(np.nansum(gap * self.count) / self.count.sum())

    def mce(self) -> float:
        """Return the maximum calibration error: the largest |accuracy - confidence| of a non-empty bin (eq.
        5).
        """
        return float(np.nanmax(np.abs(self.accuracy - self.confidence)))


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> Reliability:
    """Count predictions into equal bins of confidence.

    For a classifier the confidence is the highest probability, and the prediction is correct if that class is
    the label. For a pair of photos the confidence is P(same person), and it is correct if the pair is
    genuine.

    Args:
        confidence: (N,) in [0, 1].
        correct: (N,) bool.
        bins: M.

    Raises:
        ValueError: no prediction, a confidence outside [0, 1], unequal lengths, or bins below 1.
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, bool)
    if confidence.ndim != 1 or not len(confidence) or confidence.shape != correct.shape:
        raise ValueError(
            f"confidences have the shape {confidence.shape} and truths {correct.shape}; give (N,) twice"
        )
    if not (confidence >= 0).all() or not (confidence <= 1).all():
        raise ValueError("a confidence is NaN or outside [0, 1]; give probabilities")
    if bins < 1:
        raise ValueError(f"bins is {bins}; it must be 1 or more")
    edges = np.linspace(0, 1, bins + 1)
    place = np.minimum(np.searchsorted(edges, confidence, side="right") - 1, bins - 1)
    count = np.bincount(place, minlength=bins)
    filled = np.where(count, count, np.nan)
    claimed, true = (np.bincount(place, weights, bins) / filled for weights in (confidence, correct))
    return Reliability(edges, count, claimed, true)


def brier_score(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Compute the mean squared error of probabilities, summed over classes (Brier, 1950): in [0, 2].

    For two classes this is twice the score that counts one class only.

    Args:
        probabilities: (N, K), rows that sum to 1.
        labels: (N,) int in [0, K).

    Raises:
        ValueError: wrong shapes, NaN, or a label out of range.
    """
    probabilities, labels = checked_logits(probabilities, labels)
    own = np.take_along_axis(probabilities, labels[:, None], 1)[:, 0]
    return float(((probabilities**2).sum(1) - 2 * own + 1).mean())  # Σ p² with (p - 1)² for the true class


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Compute the mean of -log softmax(logits) at the true class, in nats.

    Args:
        logits: (N, K).
        labels: (N,) int in [0, K).

    Raises:
        ValueError: wrong shapes, NaN, or a label out of range.
    """
    logits, labels = checked_logits(logits, labels)
    own = np.take_along_axis(logits, labels[:, None], 1)[:, 0]
    top = logits.max(1)
    return float((top - own + np.log(np.exp(logits - top[:, None]).sum(1))).mean())


def softmax(logits: np.ndarray) -> np.ndarray:
    """Compute probabilities (N, K) float64 of logits (N, K)."""
    logits = np.asarray(logits, np.float64)
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the T in [0.01, 100] for which softmax(logits / T) has the lowest negative log-likelihood.

    The likelihood is convex in 1/T, so its slope, the mean of Σ p·z - z_true, has at most one zero; where it
    has none, e.g. when every prediction is correct, the result is the end of the range with the higher
    likelihood.

    Args:
        logits: (N, K).
        labels: (N,) int in [0, K).

    Raises:
        ValueError: wrong shapes, NaN, or a label out of range.
    """
    with explained():
        from scipy.optimize import brentq  # takes a moment to import, for which the page would wait

    logits, labels = checked_logits(logits, labels)
    logits = logits - np.take_along_axis(logits, labels[:, None], 1)  # the true class is at 0

    def slope(inverse: float) -> float:
        return float((softmax(inverse * logits) * logits).sum(1).mean())

    coldest, warmest = TEMPERATURES
    if slope(1 / warmest) >= 0:
        return warmest
    if slope(1 / coldest) <= 0:
        return coldest
    return 1 / brentq(slope, 1 / warmest, 1 / coldest)


@dataclass(frozen=True, eq=False)
class Isotonic:
    """P(same person) as an increasing function of the score: linear between knots, constant outside.

    Attributes:
        scores: (M,) increasing.
        probabilities: (M,) increasing, in [0, 1].
    """

    scores: np.ndarray
    probabilities: np.ndarray

    def probability(self, score: np.ndarray | float) -> np.ndarray:
        """Return P(same person | score) for a 50:50 prior; any shape."""
        return np.interp(score, self.scores, self.probabilities)


def fit_isotonic(genuine: np.ndarray, impostor: np.ndarray) -> Isotonic:
    """Fit the increasing function of the score with the lowest squared error (Zadrozny and Elkan, 2002).

    It assumes no shape, while the logistic fit assumes a sigmoid, so it needs more pairs: about a thousand of
    each kind. Both kinds have the same total weight.

    Args:
        genuine: (G,) scores of genuine pairs.
        impostor: (I,) scores of impostor pairs.

    Raises:
        ValueError: a side is empty or holds NaN.
    """
    # Imported here because it takes a second, for which the page would wait.
    with explained():
        from sklearn.isotonic import IsotonicRegression

    sides = {"genuine": np.asarray(genuine, np.float64), "impostor": np.asarray(impostor, np.float64)}
    for name, side in sides.items():
        if not len(side) or not np.isfinite(side).all():
            raise ValueError(
                f"there is no {name} score, or one that is NaN; give finite scores of both kinds"
            )
    lengths = [len(side) for side in sides.values()]
    same = np.repeat([1.0, 0.0], lengths)
    weight = np.repeat([0.5 / n for n in lengths], lengths)
    fit = IsotonicRegression().fit(np.concatenate([*sides.values()]), same, sample_weight=weight)
    return Isotonic(fit.X_thresholds_, fit.y_thresholds_)


def checked_logits(values: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values (N, K) as float64 and labels (N,) in [0, K) as int64, after checking them.

    Raises:
        ValueError: another shape, no row, NaN, or a label out of range.
    """
    values, labels = np.asarray(values, np.float64), np.asarray(labels)
    if values.ndim != 2 or not values.size or labels.shape != values.shape[:1]:
        raise ValueError(
            f"logits have the shape {values.shape} and labels {labels.shape}; give (N, K) and (N,)"
        )
    if not np.isfinite(values).all():
        raise ValueError("logits hold NaN or infinity; every value must be a finite number")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labels are {labels.dtype}; give integers in [0, {values.shape[1]})")
    if labels.min() < 0 or labels.max() >= values.shape[1]:
        raise ValueError(
            f"labels run from {labels.min()} to {labels.max()}; they must lie in [0, {values.shape[1]})"
        )
    return values, labels.astype(np.int64)
