"""Distillation: a network learns to match the embeddings of a stronger one (arXiv:1503.02531; embeddings in
place of class probabilities as in arXiv:1412.6550).

A teacher's embedding shows not only the identity of a crop but also its similarity to others. The embeddings
are computed once (`python -m facelab embed`); training then adds λ·mean(1 - cos(x, t)), with t the teacher's
embedding of the crop, centered over the training set, because a direction that all faces share carries no
information. It can be whitened first (`facelab.training.whitening`), which gives weight to the teacher's
finer distinctions.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facelab.data.embeddings import load_embeddings
from facelab.data.folders import CropSet, Selection
from facelab.models.losses.batch import widen
from facelab.models.recipe import Recipe
from facelab.training.whitening import whitening


class Teacher:
    """Teacher's embeddings of the training crops, with their loss.

    Args:
        directions: (N, D), one per row of the training selection.
        weight: λ >= 0.
    """

    def __init__(self, directions: Tensor, weight: float) -> None:
        self.directions = F.normalize(directions - directions.mean(0), dim=1)
        self.weight = weight

    def __call__(self, embeddings: Tensor, rows: Tensor) -> Tensor:
        """Compute λ·mean(1 - cos(x, t)) of embeddings (B, D) of the training rows (B,)."""
        similarity = F.cosine_similarity(widen(embeddings), self.directions[rows])
        return self.weight * (1 - similarity).mean()


def load_teacher(recipe: Recipe, data: CropSet, training: Selection, device: torch.device) -> Teacher | None:
    """Return the teacher of a recipe, or None.

    Raises:
        ValueError: embeddings of another dimension than the recipe's, or missing for a crop.
    """
    if recipe.teacher is None:
        return None
    names, embeddings = load_embeddings(recipe.teacher)
    if embeddings.shape[1] != recipe.embedding_dim:
        raise ValueError(
            f"{recipe.teacher} holds embeddings of {embeddings.shape[1]} numbers and embedding_dim is "
            f"{recipe.embedding_dim}; set it to {embeddings.shape[1]}"
        )
    place = {name: i for i, name in enumerate(names)}
    wanted = [data.names[row] for row in training.rows]
    missing = [name for name in wanted if name not in place]
    if missing:
        raise ValueError(
            f"{recipe.teacher} lacks {len(missing)} of the training crops (first: {missing[0]}); "
            "embed the same folders or zips"
        )
    theirs = embeddings[np.array([place[name] for name in wanted])]
    if recipe.teacher_whiten:
        known = training.labels >= 0
        mean, matrix = whitening(theirs[known], training.labels[known], recipe.teacher_whiten)
        theirs = ((theirs - mean) @ matrix.T).astype(np.float32)
    return Teacher(torch.from_numpy(theirs).to(device), recipe.teacher_weight)
