"""On whom a model fails: its errors among pairs of turned, dark, blurred and small faces.

Of a photo that comes without labels this much can be measured. A pair is as hard as the worse of its two
photos; pairs are ranked by that and judged in thirds at one and the same threshold, as in a verification
system that does not know whom it sees (Grother et al. 2019, NISTIR 8280, judge groups of people so).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from facelab.photos.conditions import lit_and_sharp
from facelab.photos.faces import Face

CONDITIONS = ("turned", "dark", "blurred", "small")
THIRDS = ("least", "middle", "most")


def conditions(face: Face) -> np.ndarray:
    """How turned, dark, blurred and small a face is: (4,) float64, larger is worse.

    Turned: how far the nose's tip is from the middle between the eyes, along the line through them and as a
    share of their distance; 0 is a face from the front. Dark: minus the crop's mean luma, in [0, 255].
    Blurred: minus the standard deviation of the luma's Laplacian. Small: minus the distance of
    the eyes in pixels of the photo.
    """
    left, right, nose = face.landmarks[:3].astype(np.float64)
    across = right - left
    turned = abs((nose - (left + right) / 2) @ across) / max(across @ across, 1e-9)
    brightness, sharpness = lit_and_sharp(face.crop)
    return np.array([turned, -brightness, -sharpness, -np.linalg.norm(across)], np.float64)


def judge_subsets(
    scores: np.ndarray, same: np.ndarray, first: np.ndarray, second: np.ndarray, threshold: float
) -> dict[str, dict[str, dict[str, float]]]:
    """Errors at one threshold in thirds of the pairs, by each of CONDITIONS.

    Args:
        scores: (P,) similarities; from `threshold` on two photos count as one person.
        same: (P,) boolean, whether they are.
        first, second: (P, 4) `conditions` of each pair's photos.
        threshold: of the score.

    Returns:
        {condition: {"least" | "middle" | "most": {"refused" (share of the genuine pairs), "accepted" (share
        of the impostor pairs), "genuine", "impostor" (how many)}}}. Ties go by the pairs' order.

    Raises:
        ValueError: a third would hold no genuine or no impostor pair.
    """
    if min(same.sum(), (~same).sum()) < len(THIRDS):
        raise ValueError("too few pairs for thirds; give at least three pairs of one person and three of two")
    worse = np.maximum(first, second)
    return {name: _thirds(worse[:, i], scores >= threshold, same) for i, name in enumerate(CONDITIONS)}


def _thirds(worse: np.ndarray, accepted: np.ndarray, same: np.ndarray) -> dict[str, dict[str, float]]:
    """Genuine and impostor pairs are ranked apart, so that all thirds are equally large."""
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
    """The report as a table: (condition, refused in the least, middle and most, then accepted)."""
    return [
        (name, [thirds[third][kind] for kind in ("refused", "accepted") for third in THIRDS])
        for name, thirds in report.items()
    ]
