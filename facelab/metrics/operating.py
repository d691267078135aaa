"""Operating points: meaning of scores for one model, measured once on a named calibration set.

For a single score and without more data they give the threshold for a false accept rate, the position of the
score among genuine and impostor pairs, and P(same) for a 50:50 prior (Platt's logistic fit, 1999).
"""

from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from numbers import Real
from typing import get_origin

import numpy as np

from facelab.metrics.verification import equal_error_rate, thresholds_at_far
from facelab.settings.extras import explained

BINS = 80
FARS = 10.0 ** -(np.arange(16, 65) / 16)  # sixteen a decade, from 1 in 10 to 1 in 10,000
MIN_ACCEPTED = 10  # impostor pairs behind a threshold; fewer make it a matter of luck
FIT_PAIRS = 50_000
MOST = 10_000  # values of a list, characters of a text
KINDS = {str: "text", int: "whole number", float: "finite number", tuple: "list of finite numbers"}


@dataclass(frozen=True)
class OperatingPoints:
    """Thresholds, error rates, histograms and the probability of a score, with the name of the calibration
    set.

    Attributes:
        source: the calibration set, as text.
        genuine_pairs, impostor_pairs: number of pairs of each kind.
        eer, eer_threshold: equal error rate and its threshold.
        far: false accept rates, decreasing from 0.1.
        threshold: for each rate, the lowest threshold that does not exceed it.
        frr: for each rate, the share of genuine pairs rejected.
        edges: BINS + 1 edges of the histograms.
        genuine, impostor: share of pairs in each bin; each sums to 1.
        slope, intercept: P(same) = 1 / (1 + exp(-(slope·score + intercept))).
    """

    source: str
    genuine_pairs: int
    impostor_pairs: int
    eer: float
    eer_threshold: float
    far: tuple[float, ...]
    threshold: tuple[float, ...]
    frr: tuple[float, ...]
    edges: tuple[float, ...]
    genuine: tuple[float, ...]
    impostor: tuple[float, ...]
    slope: float
    intercept: float

    def threshold_for(self, far: float) -> float:
        """Return the threshold for a false accept rate, interpolated in log FAR between the measured rates.

        Raises:
            ValueError: far is not a number, NaN, or outside the measured range.
        """
        self._check(far)
        return float(np.interp(-np.log(far), -np.log(self.far), self.threshold))

    def covers(self, far: float) -> bool:
        """Return whether the calibration set was large enough for this false accept rate."""
        low, high = self.far[-1], self.far[0]
        return low * (1 - 1e-9) <= far <= high * (1 + 1e-9)

    def frr_for(self, far: float) -> float:
        """Return the share of genuine pairs rejected at that threshold."""
        self._check(far)
        return float(np.interp(-np.log(far), -np.log(self.far), self.frr))

    def probability(self, score: float) -> float:
        """Return P(same person | score), in [0, 1], for a 50:50 prior."""
        return float(1 / (1 + np.exp(-np.clip(self.slope * score + self.intercept, -50, 50))))

    def _check(self, far: float) -> None:
        if not isinstance(far, Real) or not self.covers(far):  # a request may hold anything
            low, high = self.far[-1], self.far[0]
            raise ValueError(
                f"the false-accept rate is {str(far)[:40]}; it must lie between {low:g} and {high:g}"
            )

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON; numbers are rounded to nine digits, which distinguish any two float32
        scores.
        """
        return {key: _rounded(value) for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> "OperatingPoints":
        """Build operating points from the result of `to_dict`.

        Raises:
            ValueError: keys are missing or unknown, or values have a wrong type, are not finite, or are not
                in order.
        """
        legal = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(values) != legal:
            found = set(values) if isinstance(values, dict) else {type(values).__name__}
            raise ValueError(f"operating points have wrong keys: {sorted(found ^ legal)}")
        for key, value in values.items():
            kind = get_origin(cls.__annotations__[key]) or cls.__annotations__[key]
            if not _is_kind(value, kind):
                raise ValueError(f"operating points: {key} is {repr(value)[:60]}; it must be a {KINDS[kind]}")
        points = cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})
        points._check_order()
        return points

    def _check_order(self) -> None:
        """Raise a ValueError for lists that do not match each other or cannot be interpolated."""
        lengths = len(self.far), len(self.threshold), len(self.frr)
        if not 1 <= lengths[0] <= MOST or len(set(lengths)) > 1:
            raise ValueError(
                f"operating points: far, threshold and frr have {lengths} values; give N of each"
            )
        if not (all(a > b for a, b in pairwise(self.far)) and self.far[-1] > 0 and self.far[0] < 1):
            raise ValueError("operating points: far must fall, between 1 and 0; measure them again")
        if any(a > b for a, b in (*pairwise(self.threshold), *pairwise(self.frr))):
            raise ValueError(
                "operating points: thresholds and frr must rise as far falls; measure them again"
            )
        bins = len(self.genuine), len(self.impostor)
        if not 1 <= bins[0] <= MOST or bins != (len(self.edges) - 1,) * 2:
            raise ValueError(f"operating points: {len(self.edges)} edges are not those of {bins} bins")
        if any(a >= b for a, b in pairwise(self.edges)):
            raise ValueError("operating points: edges must rise; measure them again")
        shares = (self.eer, *self.frr, *self.genuine, *self.impostor)
        if not all(0 <= share <= 1 for share in shares) or min(self.genuine_pairs, self.impostor_pairs) < 0:
            raise ValueError("operating points: a rate lies outside [0, 1] or a count below 0")


def _is_kind(value: object, kind: type) -> bool:
    """Return whether a value of JSON is a text, an integer, a finite number, or a list of these."""
    if kind is tuple:
        return isinstance(value, list | tuple) and all(_is_kind(item, float) for item in value)
    if kind is str:
        return isinstance(value, str) and len(value) <= MOST
    numbers = int if kind is int else (int, float)
    return isinstance(value, numbers) and not isinstance(value, bool) and abs(value) < 1e15  # NaN is not


def _rounded(value: object) -> object:
    if isinstance(value, tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def measure_operating_points(genuine: np.ndarray, impostor: np.ndarray, source: str) -> OperatingPoints:
    """Measure all operating points from the scores of a calibration set.

    The lowest false accept rate is the one that at least ten impostor pairs support.

    Raises:
        ValueError: too few pairs, or scores that are not finite.
    """
    far = FARS[FARS * len(impostor) >= MIN_ACCEPTED * (1 - 1e-9)]
    if not len(far) or len(genuine) < MIN_ACCEPTED:
        raise ValueError(
            f"{len(genuine)} genuine and {len(impostor)} impostor pairs are too few to set thresholds; "
            f"give at least {MIN_ACCEPTED} and {MIN_ACCEPTED / FARS[0]:.0f}"
        )
    thresholds = thresholds_at_far(impostor, far)
    eer, eer_threshold = equal_error_rate(genuine, impostor)
    edges = np.linspace(*_limits(genuine, impostor), BINS + 1)
    slope, intercept = fit_logistic(genuine, impostor)
    return OperatingPoints(
        source=source,
        genuine_pairs=len(genuine),
        impostor_pairs=len(impostor),
        eer=eer,
        eer_threshold=eer_threshold,
        far=tuple(map(float, far)),
        threshold=tuple(map(float, thresholds)),
        frr=tuple(float((genuine < threshold).mean()) for threshold in thresholds),
        edges=tuple(map(float, edges)),
        genuine=tuple(map(float, np.histogram(genuine, edges)[0] / len(genuine))),
        impostor=tuple(map(float, np.histogram(impostor, edges)[0] / len(impostor))),
        slope=slope,
        intercept=intercept,
    )


def _limits(genuine: np.ndarray, impostor: np.ndarray) -> tuple[float, float]:
    low = min(genuine.min(), impostor.min())
    high = max(genuine.max(), impostor.max())
    return float(low), float(high if high > low else low + 1)


def fit_logistic(genuine: np.ndarray, impostor: np.ndarray) -> tuple[float, float]:
    """Fit P(same) = σ(slope·score + intercept), with the same total weight for both kinds of pair.

    The fit uses standardized scores, so that it does not depend on their unit: the small penalty that keeps
    the slope of separable scores finite would flatten it for scores with a standard deviation of 1e-4. The
    slope is 0 if all scores are equal.
    """
    # Imported here because it takes a second, for which the page would wait.
    with explained():
        from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    kept = [rng.choice(s, FIT_PAIRS, replace=False) if len(s) > FIT_PAIRS else s for s in (genuine, impostor)]
    scores = np.concatenate(kept).reshape(-1, 1).astype(np.float64)
    same = np.repeat([1, 0], [len(kept[0]), len(kept[1])])
    center, spread = float(scores.mean()), float(scores.std())
    if not spread > 0:
        return 0.0, 0.0
    fit = LogisticRegression(C=1e6, class_weight="balanced", max_iter=1000)
    fit.fit((scores - center) / spread, same)
    slope = float(fit.coef_[0, 0]) / spread
    return slope, float(fit.intercept_[0]) - slope * center
