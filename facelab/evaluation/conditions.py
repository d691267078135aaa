"""Errors by condition: pairs by pose, low light, blur and small size of the faces.

These conditions can be measured without labels. The difficulty of a pair is that of the worse of its two
photos; pairs are ranked by it and evaluated in thirds at the same threshold, as in a verification system that
does not know the identities (Grother et al. 2019, NISTIR 8280, evaluate groups of people in this way).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from facelab.photos.conditions import lit_and_sharp
from facelab.photos.faces import Face

CONDITIONS = ("turned", "dark", "blurred", "small")
THIRDS = ("least", "middle", "most")
TITLES = {  # what reports call these keys
    "turned": "pose",
    "dark": "low light",
    "blurred": "blur",
    "small": "small face",
    "least": "easiest",
    "most": "hardest",
}


def conditions(face: Face) -> np.ndarray:
    """Measure pose, darkness, blur and smallness of a face: (4,) float64, larger is worse.

    Turned (pose): distance of the nose tip from the middle between the eyes, along the line through them and
    as a share of their distance; 0 for a frontal face. Dark: minus the crop's mean luma, in [0, 255].
    Blurred: minus the standard deviation of the luma's Laplacian. Small: minus the distance of the eyes in
    pixels of the photo.
    """
    left, right, nose = face.landmarks[:3].astype(np.float64)
    across = right - left
    turned = abs((nose - (left + right) / 2) @ across) / max(across @ across, 1e-9)
    brightness, sharpness = lit_and_sharp(face.crop)
    return np.array([turned, -brightness, -sharpness, -np.linalg.norm(across)], np.float64)


def judge_subsets(
    scores: np.ndarray, same: np.ndarray, first: np.ndarray, second: np.ndarray, threshold: float
) -> dict[str, dict[str, dict[str, float]]]:
    """Compute errors at one threshold in thirds of the pairs, by each of CONDITIONS.

    Args:
        scores: (P,) similarities; a pair is accepted from `threshold` on.
        same: (P,) boolean, whether a pair is genuine.
        first, second: (P, 4) `conditions` of each pair's photos.
        threshold: threshold of the score.

    Returns:
        {condition: {"least" | "middle" | "most": {"refused" (share of the genuine pairs), "accepted" (share
        of the impostor pairs), "genuine", "impostor" (how many)}}}. Ties go by the pairs' order.

    Raises:
        ValueError: a third would hold no genuine or no impostor pair.
    """
    if min(same.sum(), (~same).sum()) < len(THIRDS):
        raise ValueError("too few pairs for thirds; give at least three genuine and three impostor pairs")
    worse = np.maximum(first, second)
    return {name: _thirds(worse[:, i], scores >= threshold, same) for i, name in enumerate(CONDITIONS)}


def _thirds(worse: np.ndarray, accepted: np.ndarray, same: np.ndarray) -> dict[str, dict[str, float]]:
    """Split into thirds; genuine and impostor pairs are ranked separately, so that all thirds are equally
    large.
    """
    split = [
        np.array_split(accepted[kind][np.argsort(worse[kind], kind="stable")], len(THIRDS))
        for kind in (same, ~same)
    ]
    return {
        third: {
            "refused": float(1 - genuine.mean()),
            "accepted": float(impostor.mean()),
            "genuine": len(genuine),
            "impostor": len(impostor),
        }
        for third, genuine, impostor in zip(THIRDS, *split)
    }


def subset_rows(report: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[tuple[str, Sequence[float]]]:
    """Return the report as a table: (condition, FRR in the easiest, middle and hardest third, then FAR)."""
    return [
        (
            TITLES.get(name, name),
            [thirds[third][kind] for kind in ("refused", "accepted") for third in THIRDS],
        )
        for name, thirds in report.items()
    ]
