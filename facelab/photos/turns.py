"""Quarter turns of a photo: conversion of boxes and landmarks, and orientation of a face.

Turns are counted counterclockwise, as in `np.rot90(pixels, turns)`. Boxes are measured from the photo's
corner; landmarks from the center of its first pixel.
"""

import numpy as np


def turned_back(
    boxes: np.ndarray, landmarks: np.ndarray, width: int, height: int, turns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Convert boxes and landmarks on `rot90(pixels, turns)` to those in `pixels`.

    Args:
        boxes: (N, 4) left, top, right, bottom.
        landmarks: (..., 2) x, y.
        width, height: size of `pixels`.
        turns: quarter turns counterclockwise, 0 to 3.
    """
    for turn in range(turns, 0, -1):  # undo one quarter: what is at (x, y) was at (before - y, x)
        before = np.float32((width, height)[(turn - 1) % 2])
        landmarks = np.stack([before - 1 - landmarks[..., 1], landmarks[..., 0]], -1)
        boxes = np.stack([before - boxes[:, 3], boxes[:, 0], before - boxes[:, 1], boxes[:, 2]], -1)
    return boxes, landmarks


def roll(landmarks: np.ndarray) -> float:
    """Return the angle by which a face is turned counterclockwise in the photo, in radians, in [-π, π].

    Args:
        landmarks: (5, 2) x, y of the eyes, the nose tip and the mouth corners; all equal where they are
            unknown, which counts as upright.
    """
    points = np.asarray(landmarks, np.float64)
    down = points[3:].mean(0) - points[:2].mean(0)
    return float(np.arctan2(down[0], down[1]))


def quarter_turns(landmarks: np.ndarray) -> int:
    """Return the number of quarter turns that make a face upright; `landmarks` as for `roll`."""
    return -round(roll(landmarks) / (np.pi / 2)) % 4
