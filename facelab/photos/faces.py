"""From a photo to aligned faces to a tensor: the only preprocessing in the project.

A photo is read by `read.py`, faces are found with MTCNN (arXiv:1604.02878), and each is turned, scaled and
shifted so that its eyes, nose and mouth fall on ArcFace's five-point template (arXiv:1801.07698). Training
data, uploads and evaluations all use this module, so all crops are aligned in the same way.
"""

import functools
import threading
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from facelab.photos import CROP_SIZE
from facelab.photos.cascade import Detections, MaxOfFour, OutsideError
from facelab.photos.cascade import detect as cascade
from facelab.photos.read import IMAGE_SUFFIXES, MAX_PIXELS, Photo, Source, read_photo
from facelab.photos.turns import turned_back
from facelab.settings.extras import explained

__all__ = [
    "CROP_SIZE",
    "IMAGE_SUFFIXES",
    "MAX_FACES",
    "MAX_PIXELS",
    "TEMPLATE",
    "Face",
    "Photo",
    "Source",
    "align",
    "find_faces",
    "find_largest",
    "main_face",
    "read_photo",
    "similarity_transform",
    "to_tensor",
]

TEMPLATE = np.array(  # left eye, right eye, nose tip, left and right mouth corner, as seen by the viewer
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
DETECTION_SIDE = 960
MIN_FACE = 40
MIN_CONFIDENCE = 0.95
MAX_FACES = 64  # of one photo, the largest; a photo of 960 pixels has room for hundreds
NO_FACE = "no face was found; use a sharper, larger or more frontal photo"
# The detector sees upright faces only: on a turned photo it is blind, or takes the mouth for the eyes, with a
# confidence of .962 to .995 where upright faces have .9997 and more. Below this, other turns are looked at.
SURE_CONFIDENCE = 0.999
# What MTCNN's last network sees is cut at whole pixels. Its authors count landmarks from that cut, but
# facenet-pytorch from the box before rounding down: 0.5 on average. 0.5 more: a pixel's edge to its center.
LIBRARY_SHIFT = 1.0


@dataclass(frozen=True, eq=False)
class Face:
    """Hold a face in a photo.

    Attributes:
        box: (4,) float32 left, top, right, bottom in pixels of `Photo.pixels`, from the photo's corner.
        landmarks: (5, 2) float32 x, y of the eyes, the nose tip and the mouth corners, left before right
            once the face is upright, in pixels of `Photo.pixels`; the center of the first pixel is (0, 0).
        confidence: the detector's probability, in [0.95, 1].
        crop: (112, 112, 3) uint8, aligned to the template.
    """

    box: np.ndarray
    landmarks: np.ndarray
    confidence: float
    crop: np.ndarray


def find_faces(photo: Photo) -> list[Face]:
    """Find and align the faces, largest first, at most `MAX_FACES`; the list is empty if there is none.

    A photo in which no face is found with a confidence of 0.999 is also searched at the other three quarter
    turns, and the detection with the highest confidence is used. Boxes and landmarks refer to the photo as
    given.

    Raises:
        ValueError: the photo is smaller than the smallest face that can be found.
    """
    return find_largest(photo)[0]


def find_largest(photo: Photo) -> tuple[list[Face], int]:
    """Return what `find_faces` returns, and the number of all faces found.

    Raises:
        ValueError: as `find_faces`.
    """
    height, width = photo.pixels.shape[:2]
    if min(height, width) < MIN_FACE:
        size = f"{width}x{height} pixels"
        raise ValueError(f"the photo has only {size}; use one in which the face is {MIN_FACE} or more wide")
    boxes, landmarks, confidences = _detect_at_any_turn(photo.pixels)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort(-area, kind="stable")[:MAX_FACES]
    faces = [
        Face(boxes[i], landmarks[i], float(confidences[i]), align(photo.pixels, landmarks[i])) for i in order
    ]
    return faces, len(boxes)


def _detect_at_any_turn(pixels: np.ndarray) -> Detections:
    """Return the detections at the quarter turn with the highest confidence, in the frame of `pixels`.

    Three more searches are three more chances of a false detection, which the mirror image seldom repeats. So
    a detection at another turn must exceed the best confidence so far on the photo and on its mirror image.
    """
    best = _detect_with_margin(pixels)
    sure = best[2].max(initial=0)
    if sure >= SURE_CONFIDENCE:
        return best
    mirrored = _mirrored_confidence(pixels, best)
    for turns in (1, 2, 3):
        turned = np.rot90(pixels, turns)
        found = _detect_with_margin(turned)
        if found[2].max(initial=0) > sure and (again := _mirrored_confidence(turned, found)) > mirrored:
            sure, mirrored = found[2].max(), again
            best = *turned_back(*found[:2], pixels.shape[1], pixels.shape[0], turns), found[2]
    return best


def _mirrored_confidence(pixels: np.ndarray, found: Detections) -> float:
    """Return the highest detection confidence on the mirror image; 0 if no face is found."""
    if not len(found[2]):
        return 0.0
    left, top, right, bottom = found[0][found[2].argmax()]
    x, y, sides = pixels.shape[1] - (left + right) / 2, (top + bottom) / 2, (right - left, bottom - top)
    boxes, _, confidences = _detect_with_margin(pixels[:, ::-1])
    apart = np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - (x, y)) / sides  # of the centers
    return float(confidences[(apart < 0.25).all(1)].max(initial=0))


def _detect_with_margin(pixels: np.ndarray) -> Detections:
    """Detect faces, with a second attempt with a gray margin, which helps for tight crops."""
    boxes, landmarks, confidences = _detect(pixels)
    if not len(boxes):
        margin = min(pixels.shape[:2]) // 2
        padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), constant_values=127)
        boxes, landmarks, confidences = _detect(padded)
        boxes, landmarks = boxes - margin, landmarks - margin
    return boxes, landmarks, confidences


_lock = threading.Lock()


@functools.cache
def _detector():
    with explained():
        from facenet_pytorch import MTCNN  # here, so that training needs no detector installed

    detector = MTCNN()
    detector.pnet.pool1 = MaxOfFour()
    for network in (detector.rnet, detector.onet):
        network.to(memory_format=torch.channels_last)
    return detector


def _detect(pixels: np.ndarray) -> Detections:
    """Run MTCNN on the photo reduced to 960 pixels -> boxes (N, 4), landmarks (N, 5, 2), confidences (N,)."""
    sides = np.array([pixels.shape[1], pixels.shape[0]])
    shrink = min(1.0, max(DETECTION_SIDE / sides.max(), MIN_FACE / sides.min()))  # a strip keeps its height
    size = np.maximum(MIN_FACE, np.round(sides * shrink)).astype(int)
    image = Image.fromarray(pixels).resize(tuple(size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    with _lock:
        detector = _detector()
    networks, seen = (detector.pnet, detector.rnet, detector.onet), np.asarray(image)
    try:
        boxes, points, confidences = cascade(networks, seen, MIN_FACE)
    except OutsideError:  # found again with a margin
        return np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32), np.empty(0, np.float32)
    sure = confidences >= MIN_CONFIDENCE
    boxes, points, confidences = boxes[sure], points[sure] - np.float32(LIBRARY_SHIFT), confidences[sure]
    for i, (left, top, side) in enumerate(map(_square, boxes)):
        if min(left, top) < 0 or left + side > size[0] or top + side > size[1]:
            points[i] = _look_again(seen, left, top, side)
    scale = (sides / size).astype(np.float32)
    half = np.float32(0.5)  # what is scaled is the distance from the photo's corner
    return boxes * np.tile(scale, 2), (points + half) * scale - half, confidences


def _square(box: np.ndarray) -> tuple[int, int, int]:
    """Return the square of whole pixels centered on a box (4,): left, top, side."""
    left, top, right, bottom = box.tolist()
    side = max(1, round(max(right - left, bottom - top)))
    return round((left + right - side) / 2), round((top + bottom - side) / 2), side


@torch.no_grad()
def _look_again(image: np.ndarray, left: int, top: int, side: int) -> np.ndarray:
    """Run MTCNN's last network again on a whole square -> landmarks (5, 2) from the first pixel's center.

    If a candidate extends beyond the photo, facenet-pytorch crops it and stretches the rest into the
    network's square, but measures the landmarks from the uncropped square, an error of a fifth of the eye
    distance or more. Here the area beyond the photo is gray, and landmarks are measured from the same square.
    """
    seen = np.full((side, side, 3), 127, np.uint8)
    row, column = max(top, 0), max(left, 0)
    part = image[row : max(row, top + side), column : max(column, left + side)]
    seen[row - top :, column - left :][: part.shape[0], : part.shape[1]] = part
    square = torch.from_numpy(seen).permute(2, 0, 1)[None].float()
    square = (interpolate(square, (48, 48), mode="area") - 127.5) / 128
    _, shares, _ = _detector().onet(square)  # (1, 10): x of five points, then y, as shares of the side
    return shares.reshape(2, 5).T.numpy() * side + (left - 0.5, top - 0.5)


def main_face(faces: list[Face], photo: Photo) -> Face:
    """Return the face that is large and near the middle (FaceNet's rule: area less offset²).

    Raises:
        ValueError: there is no face.
    """
    if not faces:
        raise ValueError(NO_FACE)
    height, width = photo.pixels.shape[:2]

    def merit(face: Face) -> float:
        left, top, right, bottom = face.box
        offset = ((left + right - width) / 2) ** 2 + ((top + bottom - height) / 2) ** 2
        return float((right - left) * (bottom - top) - 2 * offset)

    return max(faces, key=merit)


def similarity_transform(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the rotation, scale and shift that bring `source` nearest to `target` (Umeyama 1991).

    Args:
        source: (N, 2) points.
        target: (N, 2) points.

    Returns:
        (2, 3) matrix M with target ≈ M[:, :2] @ source + M[:, 2].

    Raises:
        ValueError: all source points coincide.
    """
    p, q = source - source.mean(0), target - target.mean(0)
    power = (p**2).sum()
    if power < 1e-9:
        raise ValueError("the landmarks coincide; no alignment follows from them")
    # As complex numbers the least-squares factor is <p, q> / <p, p>: a rotation and a scale in one.
    cos = (p * q).sum() / power
    sin = (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum() / power
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, target.mean(0) - linear @ source.mean(0)])


def align(pixels: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Warp a face to the template.

    Beyond the photo's edge its border pixels are repeated. A large face is reduced before it is warped,
    because bilinear sampling alone would skip pixels.

    Args:
        pixels: (H, W, 3) uint8.
        landmarks: (5, 2) x, y in pixels.

    Returns:
        (112, 112, 3) uint8.
    """
    half = 0.5  # landmarks count from a pixel's center, Pillow's transform from its corner
    forward = similarity_transform(np.asarray(landmarks, np.float64) + half, TEMPLATE + half)
    inverse = np.linalg.inv(np.vstack([forward, [0, 0, 1]]))[:2]
    corners = np.array([[0, 0], [CROP_SIZE, 0], [0, CROP_SIZE], [CROP_SIZE, CROP_SIZE]])
    reach = corners @ inverse[:, :2].T + inverse[:, 2]
    left, top = np.floor(reach.min(0)).astype(int) - 2
    right, bottom = np.ceil(reach.max(0)).astype(int) + 2
    rows = np.clip(np.arange(top, bottom), 0, pixels.shape[0] - 1)
    cols = np.clip(np.arange(left, right), 0, pixels.shape[1] - 1)
    region = Image.fromarray(pixels[rows[:, None], cols])
    factor = max(1, int(np.sqrt(np.linalg.det(inverse[:, :2]))))
    inverse[:, 2] -= (left, top)
    if factor > 1:
        region, inverse = region.reduce(factor), inverse / factor
    size, coefficients = (CROP_SIZE, CROP_SIZE), inverse.ravel()
    return np.array(region.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR))


def to_tensor(crops: np.ndarray | Tensor) -> Tensor:
    """Convert (B, H, W, 3) uint8 -> (B, 3, H, W) float32 in [-1, 1], on the same device."""
    return torch.as_tensor(crops).permute(0, 3, 1, 2).to(torch.float32).div(127.5).sub_(1)
