"""Whitening: equalize the spread between identities along the directions of an embedding, in closed form.

A network trained on few identities separates them mainly along a few directions, which then dominate the
cosine. Dividing each direction by a power of the spread between identities gives weight to the others, as in
image retrieval (Jégou and Chum 2012, https://doi.org/10.1007/978-3-642-33709-3_55). Directions in which one
person's photos vary are raised by the same power; WCCN (Hatch et al. 2006) lowers them and was worse here.
The benefit is measured, not proven: see `strong` in RECIPES. Two consecutive linear maps are one linear map,
so the neck absorbs it, and the network's form and cost do not change.
"""

import numpy as np
import torch
from torch import Tensor, nn

from facelab.data.folders import Selection
from facelab.models.losses.mining import l2_normalize
from facelab.models.model import FaceModel, embed_all

FLOOR = 1e-3  # of the largest spread: smaller ones are noise


def whiten(model: FaceModel, loss_fn: nn.Module, training: Selection, power: float) -> None:
    """Whiten a trained network's embedding in place; its prototypes become the mean directions of their
    identities.

    Args:
        model: its neck ends in a linear layer and a norm.
        loss_fn: owns `prototypes` (K, D).
        training: the crops on which the spread is measured; unlabeled ones are omitted.
        power: p in [0, 1); 0 only centers the embedding.

    Raises:
        ValueError: too few crops for a spread within identities.
    """
    known = training.take(np.flatnonzero(training.labels >= 0))
    embeddings = embed_all(model, known.batches()) / 2  # of two views, which are added
    mean, matrix = whitening(embeddings, known.labels, power)
    _take_in(model.neck, torch.from_numpy(mean), torch.from_numpy(matrix))
    directions = l2_normalize(torch.from_numpy((embeddings - mean) @ matrix.T).float())
    with torch.no_grad():
        sums = torch.zeros(loss_fn.prototypes.shape).index_add_(0, torch.from_numpy(known.labels), directions)
        loss_fn.prototypes.copy_(l2_normalize(sums))


def whitening(embeddings: np.ndarray, labels: np.ndarray, power: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute the map x -> matrix·(x - mean) that equalizes the spread between people.

    Args:
        embeddings: (N, D).
        labels: (N,) int64 in [0, K), each with one crop or more.
        power: p; the matrix is W^p·B^(-p) with the covariances B between and W within people, of
            centered embeddings of length 1.

    Returns:
        (mean (D,), matrix (D, D)), float64; the matrix keeps the embeddings' root mean square.

    Raises:
        ValueError: no person has a second crop, or there is one person only.
    """
    count = np.bincount(labels)
    if len(count) < 2 or len(labels) <= len(count):
        raise ValueError(f"{len(labels)} crops of {len(count)} people are too few to whiten by; give more")
    x = embeddings.astype(np.float64)
    mean = x.mean(0)
    x = x - mean
    directions = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    centers = np.zeros((len(count), x.shape[1]))
    np.add.at(centers, labels, directions)
    centers /= count[:, None]
    scatter = directions - centers[labels]
    within = scatter.T @ scatter / (len(x) - len(count))
    between = np.cov(centers.T) - within * np.mean(1 / count)  # means of few photos scatter too
    matrix = _power(within, power) @ _power(between, -power)
    scale = np.linalg.norm(x) / np.linalg.norm(x @ matrix.T)
    return mean, matrix * scale


def _power(covariance: np.ndarray, exponent: float) -> np.ndarray:
    """Raise a symmetric matrix to a power; small or negative eigenvalues are raised to FLOOR of the
    largest.
    """
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.maximum(values, FLOOR * values[-1]) ** exponent @ vectors.T


@torch.no_grad()
def _take_in(neck: nn.Sequential, mean: Tensor, matrix: Tensor) -> None:
    """Change a neck so that it returns matrix·(x - mean) instead of x, in eval mode."""
    linear, norm = neck[-2:]
    gain = (norm.weight / (norm.running_var + norm.eps).sqrt()).double().cpu()
    shift = norm.bias.double().cpu() - gain * norm.running_mean.double().cpu()
    linear.weight.copy_(matrix @ (gain[:, None] * linear.weight.double().cpu()))
    norm.bias.copy_(matrix @ (shift - mean))
    norm.weight.fill_(1.0)
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0 - norm.eps)
