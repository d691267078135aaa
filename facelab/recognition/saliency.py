"""Contribution of positions in two faces to a score: the cosine, decomposed exactly over the feature maps.

In eval mode both necks are affine in the feature map (pooling, flattening, a linear map and batch norms with
fixed statistics), so an embedding is a sum of one vector per position and the inner product of two embeddings
is a sum over pairs of positions. Unlike Grad-CAM (arXiv:1610.02391), the decomposition is exact; for pooled
features it is class activation mapping (arXiv:1512.04150, eq. 2) with the other face as the class weights.
"""

import numpy as np
import torch
from torch import Tensor

from facelab.models.model import FaceModel
from facelab.photos.faces import to_tensor
from facelab.recognition.visit import network_of


def embedding_by_position(model: FaceModel, x: Tensor, flip: bool = True) -> Tensor:
    """Return the terms whose sum is the embedding, one per position of the feature map.

    A position's term is the neck's output for the feature map with all other positions at zero, minus its
    output for zeros. That constant output is distributed evenly over all positions.

    Args:
        model: set to eval mode, in which its neck is affine.
        x: (3, 112, 112), one face in [-1, 1].
        flip: split the sum of the embeddings of the face and of its mirror image, as scores use it; the
            mirror image's terms are mapped back to the face.

    Returns:
        (h, w, D); the sum over h and w is the embedding.
    """
    model.eval()
    with torch.inference_mode():
        terms = _terms(model, x)
        return terms + _terms(model, x.flip(2)).flip(1) if flip else terms


def _terms(model: FaceModel, x: Tensor) -> Tensor:
    features = model.backbone(x[None])[0]
    height, width = features.shape[1:]
    alone = torch.eye(height * width, dtype=x.dtype, device=x.device).view(-1, 1, height, width) * features
    constant = model.neck(torch.zeros_like(features)[None])
    terms = model.neck(alone) - constant * (1 - 1 / (height * width))
    return terms.view(height, width, -1)


def cosine_by_position(model: FaceModel, a: Tensor, b: Tensor, flip: bool = True) -> Tensor:
    """Return the cosine of two faces' embeddings as a sum over pairs of positions.

    Args:
        model: the network; its precision is that of the sum.
        a: (3, 112, 112), a face in [-1, 1].
        b: (3, 112, 112), the other.
        flip: as in `embedding_by_position`.

    Returns:
        (h, w, h, w): contribution of a position of A and a position of B to the cosine, possibly negative.
        The sum over the last two axes is A's map, over the first two B's map, over all four the cosine.
    """
    terms_a, terms_b = (embedding_by_position(model, x, flip) for x in (a, b))
    length = terms_a.sum((0, 1)).norm() * terms_b.sum((0, 1)).norm()
    return torch.einsum("ijd,kld->ijkl", terms_a, terms_b) / length


def cosine_maps(name: str, crop_a: np.ndarray, crop_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both faces' maps under a checkpoint, flip-averaged like its scores.

    Args:
        name: a checkpoint's name or path, or a model of this visit.
        crop_a: (112, 112, 3) uint8.
        crop_b: (112, 112, 3) uint8.

    Returns:
        Two (h, w) float64 arrays, each of which sums to the cosine.

    Raises:
        ValueError: no such checkpoint; the reference is not one.
    """
    a, b = to_tensor(np.stack([crop_a, crop_b]))
    pairs = cosine_by_position(network_of(name), a, b).double().numpy()
    return pairs.sum((2, 3)), pairs.sum((0, 1))
