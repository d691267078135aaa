"""One face for tabs that inspect a network: a visitor's, or a rendered one."""

import functools

import numpy as np

from facelab.photos.faces import Source, main_face
from facelab.recognition.verify import detect
from facelab.ui.widgets.examples import example_pairs


@functools.cache
def example_crop() -> np.ndarray:
    """Return the aligned crop of a rendered face: (112, 112, 3) uint8."""
    return crop_of(next(iter(example_pairs().values()))[0])


def crop_of(photo: Source) -> np.ndarray:
    """Return the aligned crop of a photo's main face: (112, 112, 3) uint8.

    Raises:
        ValueError: one sentence that says what to do.
    """
    detection = detect(photo, "The photo")
    return main_face(detection.faces, detection.photo).crop
