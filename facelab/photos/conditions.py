"""Photos that differ from the calibration set: measurements and warnings.

A false accept rate holds for photos like those of the calibration set: sharp, lit, not stretched, with faces
at least 80 pixels wide. Each condition is one number; fewer than 1 in 200 faces of LFW view 1 exceed its
limit. `benchmarks/conditions.py` measures the effect of the conditions on the rates; docs/conditions.md lists
it. Simplified: one number per condition, and no model of quality.
"""

from dataclasses import dataclass

import numpy as np

from facelab.photos.faces import Face, Photo
from facelab.photos.read import LUMA
from facelab.photos.turns import roll


@dataclass(frozen=True)
class Conditions:
    """Measurements of one face that need no label.

    Attributes:
        width: distance between the eyes divided by the distance from their middle to the mouth's, along the
            face's axes: 0.87 on the template, less if the face is turned, more if the photo is stretched
            sideways.
        sharpness: standard deviation of the crop's Laplacian, in gray levels.
        brightness: the crop's mean luma, in [0, 255].
        size: the shorter side of the face's box in pixels of the original photo.
        confidence: the detector's confidence.
        tilt: degrees between the face's axis and the nearest quarter turn, in [0, 45]; near 45 the detector
            places landmarks badly.
    """

    width: float
    sharpness: float
    brightness: float
    size: float
    confidence: float
    tilt: float


def measure(face: Face, photo: Photo) -> Conditions:
    """Measure the conditions of one face."""
    eyes, mouth = face.landmarks[:2].astype(np.float64), face.landmarks[3:].astype(np.float64)
    across, down = eyes[1] - eyes[0], mouth.mean(0) - eyes.mean(0)
    brightness, sharpness = lit_and_sharp(face.crop)
    left, top, right, bottom = face.box
    return Conditions(
        width=float(np.hypot(*across) / max(np.hypot(*down), 1e-9)),
        sharpness=sharpness,
        brightness=brightness,
        size=float(min(right - left, bottom - top) * photo.scale),
        confidence=face.confidence,
        tilt=abs((np.degrees(roll(face.landmarks)) + 45) % 90 - 45),
    )


def lit_and_sharp(crop: np.ndarray) -> tuple[float, float]:
    """Return (mean luma, standard deviation of its Laplacian) of a crop (112, 112, 3) uint8, in gray
    levels.
    """
    luma = crop @ np.float32(LUMA)
    beside = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float(luma.mean()), float((beside - 4 * luma[1:-1, 1:-1]).std())


# Chosen on LFW view 1: beyond each limit lies fewer than 1 face in 200.
WIDTHS = (0.6, 1.2)
SHARPNESS = 2.5
BRIGHTNESS = 50.0
SIZE = 40.0
CONFIDENCE = 0.99
TILT = 25.0


def warnings_of(conditions: Conditions) -> list[str]:
    """Return one sentence for each condition under which the error rates may not hold."""
    narrow, wide = WIDTHS
    said = {
        "The face looks stretched sideways; use the photo in its own proportions.": conditions.width > wide,
        "The face looks narrow: the photo is stretched upwards or the head is turned.": (
            conditions.width < narrow
        ),
        "The face is blurred; use a sharper photo.": conditions.sharpness < SHARPNESS,
        "The face is dark; use a photo with more light.": conditions.brightness < BRIGHTNESS,
        f"The face is only {conditions.size:.0f} pixels wide; use a larger one.": conditions.size < SIZE,
        "The detector is not sure that this is a face; check the crop.": conditions.confidence < CONFIDENCE,
        f"The face is tilted by about {conditions.tilt:.0f} degrees; turn the photo until it is upright.": (
            conditions.tilt > TILT
        ),
    }
    return [sentence for sentence, holds in said.items() if holds]
