"""Bootstrap confidence intervals: uncertainty of a figure due to the choice of photos.

The test set is resampled from itself many times, with replacement, and the middle 95% of the resulting
figures is the interval (Efron's percentile method, 1979). The unit of resampling matters: the pairs of a list
may be drawn individually, but all pairs among a few people are dependent, so whole people must be drawn (the
subset bootstrap of Bolle, Ratha and Pankanti, 2004); otherwise the interval is far too narrow.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from facelab.metrics.verification import FARS, Roc, roc, supported_fars

LEVEL = 0.95
RESAMPLES = 1000

Interval = tuple[float, float]


def intervals_by_pair(
    genuine: np.ndarray, impostor: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, object]:
    """Return 95% intervals of a pairs list, for which genuine and impostor pairs are drawn separately.

    Args:
        genuine: (G,) scores of genuine pairs.
        impostor: (I,) scores of impostor pairs.
        resamples: number of draws.
        seed: seed of the draws.

    Returns:
        {"eer", "auc", "tar_at_far": {rate: ...}}, each (low, high).

    Raises:
        ValueError: a side is empty or holds NaN, or resamples is below 2.
    """
    rng = np.random.default_rng(seed)
    drawn = ((_counts(len(genuine), rng), _counts(len(impostor), rng)) for _ in range(_enough(resamples)))
    return _intervals(genuine, impostor, drawn)


def difference_by_pair(
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, object]:
    """Return the differences of two models on one list, with 95% intervals from common draws.

    The difficulty of the list for both models cancels (paired bootstrap), so the interval is narrower than
    two separate intervals suggest.

    Args:
        first, second: each model's scores, (G,) of the genuine and (I,) of the impostor pairs, in one order.
        resamples: number of draws.
        seed: seed of the draws.

    Returns:
        {"eer", "auc", "tar_at_far": {rate: ...}}, each (first minus second, low, high).

    Raises:
        ValueError: the lists differ in length, a side is empty or holds NaN, or resamples is below 2.
    """
    shapes = [tuple(map(len, scores)) for scores in (first, second)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"the models scored {shapes[0]} and {shapes[1]} pairs; give the same ones to both")

    def draws() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        rng = np.random.default_rng(seed)  # the same draws for both
        for _ in range(_enough(resamples)):
            yield _counts(shapes[0][0], rng), _counts(shapes[0][1], rng)

    return _difference(first, second, draws)


def difference_by_identity(
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    genuine_identity: np.ndarray,
    impostor_identities: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, object]:
    """Return how much two models differ on all pairs of some people, who are drawn whole, the same ones for
    both.

    Args:
        first, second: each model's scores, (G,) of the genuine and (I,) of the impostor pairs, in one order.
        genuine_identity, impostor_identities: as in `intervals_by_identity`.
        resamples: how often the people are drawn.
        seed: of the draws.

    Returns:
        As `difference_by_pair`.

    Raises:
        ValueError: a side is empty or holds NaN, or resamples is below 2.
    """
    return _difference(
        first, second, lambda: _drawn_people(genuine_identity, impostor_identities, resamples, seed)
    )


def _difference(
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    draws: Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]],
) -> dict[str, object]:
    """Return first minus second, on all pairs and in the middle 95 % of the draws."""
    samples = []
    for scores in (first, second):
        samples.append([_flat(roc(*scores).figures(supported_fars(FARS, len(scores[1]))))])
        samples[-1] += [_flat(sample) for sample in _samples(*scores, draws())]
    whole, *rest = ({name: a[name] - b[name] for name in a} for a, b in zip(*samples))
    found = {name: (value, *_middle([sample[name] for sample in rest])) for name, value in whole.items()}
    return {"eer": found.pop("eer"), "auc": found.pop("auc"), "tar_at_far": found}


def intervals_by_identity(
    genuine: np.ndarray,
    impostor: np.ndarray,
    genuine_identity: np.ndarray,
    impostor_identities: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, object]:
    """Return 95% intervals of all pairs among some people, for which whole people are drawn.

    Someone drawn twice counts twice in their own pairs and in all pairs with others; the two copies are not
    compared with each other.

    Args:
        genuine: (G,) scores of genuine pairs.
        impostor: (I,) scores of impostor pairs.
        genuine_identity: (G,) identity of each pair, in [0, K).
        impostor_identities: (I, 2) identities of each pair, in [0, K).
        resamples: number of draws.
        seed: seed of the draws.

    Returns:
        {"eer", "auc", "tar_at_far": {rate: ...}}, each (low, high).

    Raises:
        ValueError: a side is empty or holds NaN, or resamples is below 2.
    """
    return _intervals(
        genuine, impostor, _drawn_people(genuine_identity, impostor_identities, resamples, seed)
    )


def _drawn_people(
    genuine_identity: np.ndarray, impostor_identities: np.ndarray, resamples: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Return how often each genuine and impostor pair counts when whole people are drawn."""
    rng = np.random.default_rng(seed)
    people = 1 + int(max(np.max(genuine_identity, initial=0), np.max(impostor_identities, initial=0)))
    first, second = np.asarray(impostor_identities).reshape(-1, 2).T
    for _ in range(_enough(resamples)):
        times = _counts(people, rng)
        yield times[genuine_identity], times[first] * times[second]


def mean_interval(
    values: np.ndarray, identities: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return the 95% interval of a mean, such as a rank-1 rate, for which whole people are drawn.

    Args:
        values: (P,) one number per probe.
        identities: (P,) identity of each probe.
        resamples: number of draws.
        seed: seed of the draws.
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
    """Return the count of each of n items in n draws with replacement."""
    return np.bincount(rng.integers(0, n, n), minlength=n) if n else np.empty(0, np.int64)


def _intervals(
    genuine: np.ndarray, impostor: np.ndarray, drawn: Iterable[tuple[np.ndarray, np.ndarray]]
) -> dict[str, object]:
    samples = list(_samples(genuine, impostor, drawn))
    if not samples:
        raise ValueError("no resample had pairs of both kinds; give more identities")
    rates = samples[0]["tar_at_far"]
    return {
        "eer": _middle([s["eer"] for s in samples]),
        "auc": _middle([s["auc"] for s in samples]),
        "tar_at_far": {rate: _middle([s["tar_at_far"][rate] for s in samples]) for rate in rates},
    }


def _samples(
    genuine: np.ndarray, impostor: np.ndarray, drawn: Iterable[tuple[np.ndarray, np.ndarray]]
) -> Iterator[dict[str, object]]:
    """Return the figures of every draw that has both kinds of pair."""
    thresholds = roc(genuine, impostor).thresholds
    # Place of each score among the falling thresholds; sorted once, a draw only weighs it anew.
    genuine_place, impostor_place = (np.searchsorted(-thresholds, -side) for side in (genuine, impostor))
    fars = supported_fars(FARS, len(impostor))
    for genuine_weight, impostor_weight in drawn:
        if genuine_weight.any() and impostor_weight.any():  # few people may draw no pair of a kind
            tar = _weighted(genuine_place, genuine_weight, len(thresholds))
            far = _weighted(impostor_place, impostor_weight, len(thresholds))
            yield Roc(thresholds, far, tar).figures(fars)


def _flat(figures: dict[str, object]) -> dict[str, float]:
    """Return EER, AUC and the rates in one table."""
    return {"eer": figures["eer"], "auc": figures["auc"]} | figures["tar_at_far"]


def _weighted(place: np.ndarray, weight: np.ndarray, length: int) -> np.ndarray:
    """Return the share of the weight at or above each threshold."""
    above = np.cumsum(np.bincount(place, weight, length))
    return above / above[-1]


def _middle(samples: list[float]) -> Interval:
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
