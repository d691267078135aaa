"""Take in a model that a visitor brings: a checkpoint of ours, or an ONNX graph in its own process."""

import hashlib
import html
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from facelab.metrics.verification import cosine
from facelab.models import checkpoint
from facelab.photos import CROP_SIZE
from facelab.photos.faces import Face, Photo
from facelab.recognition.embedder import Embedder
from facelab.recognition.onnx_child import OnnxChild, can_limit
from facelab.recognition.onnx_embedder import MAX_BYTES
from facelab.recognition.visit import VisitModel
from facelab.settings import hosted
from facelab.settings.extras import sentence
from facelab.ui.visit import own_checkpoint
from facelab.ui.widgets import cards
from facelab.ui.widgets.doctor import header_card

REMEDY = "embed photos by person with it in the tab Own, which sets them"
UNLIMITED = (
    "this page is hosted on a system that cannot limit an ONNX model's memory; bring a checkpoint of "
    "FaceLab, or run FaceLab on your own machine"
)
KINDS = (".safetensors", ".onnx")


def brought(path: str) -> VisitModel:
    """Read a model file.

    Args:
        path: a .safetensors checkpoint or an .onnx embedder.

    Raises:
        ValueError: another kind of file, or one that is damaged, too large or too slow; one sentence.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in KINDS:
        raise ValueError(
            f"{Path(path).name} is not a model; bring a .safetensors checkpoint or an .onnx embedder"
        )
    return _checkpoint(path) if suffix == KINDS[0] else _onnx(path)


def _checkpoint(path: str) -> VisitModel:
    network, _, header = checkpoint.load(path)
    return own_checkpoint(network, header, f"a checkpoint, trained on {header.data}", REMEDY)


def _onnx(path: str) -> VisitModel:
    if hosted() and not can_limit():
        raise ValueError(UNLIMITED)
    if not (find_spec("onnx") and find_spec("onnxruntime")):
        raise ValueError(sentence("onnx"))
    if Path(path).stat().st_size > MAX_BYTES:
        raise ValueError(
            f"{Path(path).name} is larger than {MAX_BYTES // 2**20} MB; export a smaller embedder"
        )
    data = Path(path).read_bytes()
    child = OnnxChild(Path(path).name, data)
    length = child(np.full((1, CROP_SIZE, CROP_SIZE, 3), 128, np.uint8)).shape[1]
    name = f"ONNX embedder, {length}-D #{hashlib.blake2b(data, digest_size=3).hexdigest()}"

    def embed_faces(photo: Photo, faces: list[Face]) -> np.ndarray:
        return child(np.stack([face.crop for face in faces]))

    embedder = Embedder(name, embed_faces, cosine, "cosine similarity", None, True, REMEDY)
    return VisitModel(embedder, f"an ONNX graph of {len(data) / 1e6:.1f} MB", end=child.end)


def model_card(model: VisitModel) -> str:
    """Return what a model is, from where its thresholds come, and what the doctor says of its training."""
    points, header = model.embedder.points, model.header
    cells = [("weights", f"{sum(p.numel() for p in model.network.parameters()):,}")] if model.network else []
    if header:
        cells.append(("training identities", f"{header.num_classes:,}"))
    thresholds = f"It has no thresholds yet; {REMEDY}."
    if points:
        cells.append(("equal error rate (EER)", f"{points.eer:.1%}"))
        cells.append(("lowest FAR with a threshold", f"{points.far[-1]:.2%}"))
        pairs = f"{points.genuine_pairs:,} genuine and {points.impostor_pairs:,} impostor pairs"
        thresholds = f"Its thresholds come from {pairs} of {points.source}."
    return (
        f'<div class="fl-card fl-same" role="status"><h3>{html.escape(model.name)}</h3>'
        f"<p>It is {html.escape(model.said)}. {html.escape(thresholds)} It is in the lists of models of "
        f"Compare and Identify{' and of the feature maps' if model.network else ''}, for this visit only.</p>"
        f"{cards.figures(*cells) if cells else ''}</div>{header_card(header) if header else ''}"
    )
