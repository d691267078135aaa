"""Closed set: every photo shows one of K training identities, and the logits predict which.

Top-k accuracy is the share of photos whose true class is among the k highest logits; the most confused pairs
show which identities the network mistakes for each other. The report adds calibration, because an accurate
network can be overconfident.
"""

import numpy as np

from facelab.metrics.calibration import (
    brier_score,
    checked_logits,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    softmax,
)


def top_k_accuracy(logits: np.ndarray, labels: np.ndarray, k: int = 1) -> float:
    """Return the share of rows whose true class is among the k highest logits; of equal logits the lower
    class is first.

    Args:
        logits: (N, K).
        labels: (N,) int in [0, K).
        k: 1 or more; from K on the result is 1.

    Raises:
        ValueError: wrong shapes, NaN, a label out of range, or k below 1.
    """
    logits, labels = checked_logits(logits, labels)
    if k < 1:
        raise ValueError(f"k is {k}; it must be 1 or more")
    own = np.take_along_axis(logits, labels[:, None], 1)
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    before = ((logits > own) | ((logits == own) & earlier)).sum(1)
    return float((before < k).mean())


def most_confused(logits: np.ndarray, labels: np.ndarray, count: int = 10) -> list[tuple[int, int, int]]:
    """Return the identities confused with each other most often.

    Args:
        logits: (N, K).
        labels: (N,) int in [0, K).
        count: maximum number of pairs.

    Returns:
        [(true class, predicted class, count), ...], most frequent first, then by class.

    Raises:
        ValueError: wrong shapes, NaN, or a label out of range.
    """
    logits, labels = checked_logits(logits, labels)
    guess = logits.argmax(1)
    wrong = guess != labels
    pairs, times = np.unique(np.stack([labels[wrong], guess[wrong]], 1), axis=0, return_counts=True)
    first = np.argsort(-times, kind="stable")[:count]
    return [(int(true), int(taken), int(n)) for (true, taken), n in zip(pairs[first], times[first])]


def classification_report(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the closed-set figures of one set of photos.

    The temperature is fitted to the same photos, so `ece_after_temperature` is the best case of temperature
    scaling; for an unbiased figure fit it with `fit_temperature` on other photos.

    Args:
        logits: (N, K), without margin.
        labels: (N,) int in [0, K).

    Returns:
        {"top_1", "top_5", "ece", "mce", "brier", "nll", "temperature", "ece_after_temperature"}.

    Raises:
        ValueError: wrong shapes, NaN, or a label out of range.
    """
    logits, labels = checked_logits(logits, labels)
    correct = logits.argmax(1) == labels
    probabilities = softmax(logits)
    temperature = fit_temperature(logits, labels)
    before = reliability(probabilities.max(1), correct)
    after = reliability(softmax(logits / temperature).max(1), correct)
    return {
        "top_1": top_k_accuracy(logits, labels, 1),
        "top_5": top_k_accuracy(logits, labels, 5),
        "ece": before.ece(),
        "mce": before.mce(),
        "brier": brier_score(probabilities, labels),
        "nll": negative_log_likelihood(logits, labels),
        "temperature": temperature,
        "ece_after_temperature": after.ece(),
    }
