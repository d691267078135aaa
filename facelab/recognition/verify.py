"""Verification of two photos: find the faces, embed them, score them, and decide at a false accept rate.

The rate determines the threshold: accept when `score >= threshold`. A decision comes with its basis: score,
threshold, error rates, a calibrated probability, and the calibration set.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from facelab.models.zoo import DEFAULT_MODEL
from facelab.photos.conditions import measure, warnings_of
from facelab.photos.faces import Face, Photo, Source, find_largest, main_face, read_photo
from facelab.recognition.embedder import Embedder, load

DEFAULT_FAR = 1e-3
NO_FACE = "no face was found; use a sharper, larger or more frontal photo of one face"


@dataclass(frozen=True, eq=False)
class Detection:
    """A photo and the faces in it, at least one, largest first.

    Attributes:
        photo: the photo.
        faces: those that can be chosen.
        left_out: the number of further faces, which are smaller.
    """

    photo: Photo
    faces: list[Face]
    left_out: int = 0

    @property
    def main(self) -> int:
        """Return the index of the main face, which is large and near the middle; thresholds are measured on
        main faces.
        """
        return self.faces.index(main_face(self.faces, self.photo))


@dataclass(frozen=True)
class Verdict:
    """Hold the decision on one pair and its basis.

    Attributes:
        model: name of the embedder.
        score: similarity of the two faces.
        threshold: minimum score that is accepted.
        far: false accept rate that sets the threshold.
        frr: share of genuine pairs rejected at this threshold.
        same: score >= threshold.
        probability_same: calibrated P(same), for a 50:50 prior.
        calibration: the set on which threshold, rates and probability are measured.
    """

    model: str
    score: float
    threshold: float
    far: float
    frr: float
    same: bool
    probability_same: float
    calibration: str


def detect(source: Source, name: str) -> Detection:
    """Read a photo and find its faces.

    Args:
        source: path, bytes, PIL image or array.
        name: name of the photo in an error, e.g. "Photo A".

    Raises:
        ValueError: one sentence that begins with `name` and says what to do.
    """
    try:
        photo = read_photo(source)
        faces, found = find_largest(photo)
        if not faces:
            raise ValueError(NO_FACE)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return Detection(photo, faces, found - len(faces))


def detect_both(a: Source, b: Source) -> tuple[Detection, Detection]:
    """Run `detect` on photo A and photo B at once, on two threads.

    Raises:
        ValueError: as `detect`; if both photos are invalid, the message names the first.
    """
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(detect, (a, b), ("Photo A", "Photo B"))
    return first, second


def score_faces(
    embedder: Embedder, a: Detection, b: Detection, face_a: int | None = None, face_b: int | None = None
) -> float:
    """Compute the similarity of one face of each photo, counted from 0, largest first; None is the main face.

    Raises:
        ValueError: a photo has no face of that number.
    """
    faces = []
    for name, detection, index in (("Photo A", a, face_a), ("Photo B", b, face_b)):
        index = detection.main if index is None else index
        if not 0 <= index < len(detection.faces):
            count = f"{len(detection.faces)} face(s)"
            if detection.left_out:
                count += f" that can be chosen, and {detection.left_out} smaller ones"
            raise ValueError(f"{name} has {count}; there is no face {index + 1}")
        faces.append(detection.faces[index])
    if embedder.crops_suffice:  # one batch of two costs less than two of one
        first, second = embedder.embed(a.photo, faces)
        return float(embedder.score(first[None], second[None])[0])
    vectors = (embedder.embed(one.photo, [face]) for one, face in zip((a, b), faces))
    return float(embedder.score(*vectors)[0])


def judge(embedder: Embedder, score: float, far: float) -> Verdict:
    """Decide on a score at a false-accept rate; no network runs.

    Raises:
        ValueError: far is NaN or out of the measured range, or the embedder is not calibrated.
    """
    points = embedder.calibrated()
    threshold = points.threshold_for(far)
    return Verdict(
        model=embedder.name,
        score=score,
        threshold=threshold,
        far=far,
        frr=points.frr_for(far),
        same=score >= threshold,
        probability_same=points.probability(score),
        calibration=points.source,
    )


def compare(
    a: Source,
    b: Source,
    model: str = DEFAULT_MODEL,
    far: float = DEFAULT_FAR,
    face_a: int | None = None,
    face_b: int | None = None,
) -> dict[str, object]:
    """Compare the faces of two photos: the public API, also used by the command line's --json and the
    endpoint /compare.

    Args:
        a, b: the photos.
        model: argument of `load`.
        far: false accept rate that sets the threshold.
        face_a, face_b: which face of each, counted from 0, largest first; None is the main face, on which
            thresholds are measured.

    Returns:
        {"model", "score", "threshold", "far", "frr", "same", "probability_same", "calibration", "faces",
        "warnings"}; "faces" holds `describe_face` of each photo, and "warnings" a sentence for each condition
        under which the rates may not hold.

    Raises:
        ValueError: one sentence that says what to do.
    """
    embedder = load(model)
    embedder.calibrated().threshold_for(far)  # refuse a bad rate before any photo is read
    sightings = detect_both(a, b)
    chosen = [s.main if index is None else index for s, index in zip(sightings, (face_a, face_b))]
    verdict = judge(embedder, score_faces(embedder, *sightings, *chosen), far)
    faces = [describe_face(detection, index) for detection, index in zip(sightings, chosen)]
    warnings = warn(*sightings, *chosen)
    return vars(verdict) | {"faces": faces, "warnings": warnings}


def warn(a: Detection, b: Detection, face_a: int, face_b: int) -> list[str]:
    """Return one sentence for each condition of either photo under which the error rates may not hold."""
    return [
        f"{name}: {sentence}"
        for name, seen, index in (("Photo A", a, face_a), ("Photo B", b, face_b))
        for sentence in warnings_of(measure(seen.faces[index], seen.photo))
    ]


def describe_face(detection: Detection, index: int) -> dict[str, object]:
    """Describe one face in pixels of the original photo.

    Returns:
        {"found": number of faces in the photo, of which the largest 64 can be chosen, "face": number of this
        face, counted from 1 as in `--face-a`, largest first, "main": whether it is the main face, "box":
        left, top, right, bottom from the photo's corner, "landmarks": x, y from the center of its first
        pixel, "confidence"}.
    """
    face, scale = detection.faces[index], detection.photo.scale
    half = 0.5  # from a pixel's center to its edge: what is scaled is the distance from the photo's corner
    landmarks = (face.landmarks.astype(np.float64) + half) * scale - half
    return {
        "found": len(detection.faces) + detection.left_out,
        "face": index + 1,
        "main": index == detection.main,
        "box": np.round(face.box.astype(np.float64) * scale, 1).tolist(),
        "landmarks": np.round(landmarks, 1).tolist(),
        "confidence": round(face.confidence, 4),
    }
