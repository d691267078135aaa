"""Bootstrap confidence intervals: how far a figure could be off because other photos might have been taken.

A test set is drawn again and again from itself, with replacement, and the middle 95 % of the figures that
it then gives is the interval (Efron's percentile method, 1979). What is drawn matters: the pairs of a list
may be drawn one by one, but all pairs among a few people hang together, and there whole people must be drawn
(the subset bootstrap of Bolle, Ratha and Pankanti, 2004) or the interval comes out far too narrow.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from facelab.metrics.verification import FARS, Roc, roc, supported_fars

LEVEL = 0.95
RESAMPLES = 1000

Interval = tuple[float, float]


def intervals_by_pair(
    genuine: np.ndarray, impostor: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, object]:
    """95 % intervals of a pairs list, for which genuine and impostor pairs are drawn separately.

    Args:
        genuine: (G,) scores of pairs of one person.
        impostor: (I,) scores of pairs of two people.
        resamples: how often the list is drawn.
        seed: of the draws.

    Returns:
        {"eer", "auc", "tar_at_far": {rate: ...}}, each (low, high).

    Raises:
        ValueError: a side is empty or holds NaN, or resamples is below 2.
    """
    rng = np.random.default_rng(seed)
    drawn = ((_counts(len(genuine), rng), _counts(len(impostor), rng)) for _ in range(_enough(resamples)))
    return _intervals(genuine, impostor, drawn)


def intervals_by_identity(
    genuine: np.ndarray,
    impostor: np.ndarray,
    genuine_identity: np.ndarray,
    impostor_identities: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, object]:
    """95 % intervals of all pairs among some people, for which whole people are drawn.

    Someone drawn twice counts twice in their own pairs and in all pairs with others; the two copies are not
    compared with each other.

    Args:
        genuine: (G,) scores of pairs of one person.
        impostor: (I,) scores of pairs of two people.
        genuine_identity: (G,) whose pair it is, in [0, K).
        impostor_identities: (I, 2) whose pair it is, in [0, K).
        resamples: how often the people are drawn.
        seed: of the draws.

    Returns:
        {"eer", "auc", "tar_at_far": {rate: ...}}, each (low, high).

    Raises:
        ValueError: a side is empty or holds NaN, or resamples is below 2.
    """
    rng = np.random.default_rng(seed)
    people = 1 + int(max(np.max(genuine_identity, initial=0), np.max(impostor_identities, initial=0)))
    first, second = np.asarray(impostor_identities).reshape(-1, 2).T

    def draws() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for _ in range(_enough(resamples)):
            times = _counts(people, rng)
            yield times[genuine_identity], times[first] * times[second]

    return _intervals(genuine, impostor, draws())


def mean_interval(
    values: np.ndarray, identities: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """95 % interval of a mean, such as a rank-1 rate, for which whole people are drawn.

    Args:
        values: (P,) one number a probe.
        identities: (P,) whose probe it is.
        resamples: how often the people are drawn.
        seed: of the draws.
    """
    _, person = np.unique(identities, return_inverse=True)
    total, count = np.bincount(person, np.asarray(values, np.float64)), np.bincount(person)
    rng = np.random.default_rng(seed)
    drawn = (_counts(len(count), rng) for _ in range(_enough(resamples)))
    return _middle([times @ total / (times @ count) for times in drawn])


def _enough(resamples: int) -> int:
    if resamples < 2:
        raise ValueError(f"resamples is {resamples}; an interval needs 2 or more")
    return resamples


def _counts(n: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of n is taken in n draws with replacement."""
    return np.bincount(rng.integers(0, n, n), minlength=n) if n else np.empty(0, np.int64)


def _intervals(
    genuine: np.ndarray, impostor: np.ndarray, drawn: Iterable[tuple[np.ndarray, np.ndarray]]
) -> dict[str, object]:
    thresholds = roc(genuine, impostor).thresholds
    # Place of each score among the falling thresholds; sorted once, a draw only weighs it anew.
    genuine_place, impostor_place = (np.searchsorted(-thresholds, -side) for side in (genuine, impostor))
    samples, fars = [], supported_fars(FARS, len(impostor))
    for genuine_weight, impostor_weight in drawn:
        if genuine_weight.any() and impostor_weight.any():  # few people may draw no pair of a kind
            tar = _weighted(genuine_place, genuine_weight, len(thresholds))
            far = _weighted(impostor_place, impostor_weight, len(thresholds))
            samples.append(Roc(thresholds, far, tar).figures(fars))
    if not samples:
        raise ValueError("no draw held a pair of both kinds; give more people")
    rates = samples[0]["tar_at_far"]
    return {
        "eer": _middle([s["eer"] for s in samples]),
        "auc": _middle([s["auc"] for s in samples]),
        "tar_at_far": {rate: _middle([s["tar_at_far"][rate] for s in samples]) for rate in rates},
    }


def _weighted(place: np.ndarray, weight: np.ndarray, length: int) -> np.ndarray:
    """Share of the weight at or above each threshold."""
    above = np.cumsum(np.bincount(place, weight, length))
    return above / above[-1]


def _middle(samples: list[float]) -> Interval:
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
