"""FaceModel: backbone -> neck -> embedding, the network that every loss trains and every tab uses.

The neck turns a feature map (B, C, h, w) into a vector (B, D). `pool` averages the map first, as ImageNet
networks do; `flatten` keeps every position, as face networks do, because an aligned crop has the eyes and the
mouth always in the same place (ArcFace, arXiv:1801.07698, section 3.2, option E: BN-Dropout-FC-BN).
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from facelab.models.backbones import build_backbone
from facelab.models.names import nearest
from facelab.models.recipe import Recipe
from facelab.models.regularizers import Dropout, insert_regularizers
from facelab.photos.faces import CROP_SIZE, to_tensor

IN_CACHE = 32  # images at once on a CPU: 128 are a third slower, since a layer's maps leave the cache


def pool_neck(channels: int, size: int, embedding_dim: int, dropout: float) -> nn.Sequential:
    """Build global average pooling and one linear map: C·D weights."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        Dropout(dropout),
        nn.Linear(channels, embedding_dim, bias=False),
        nn.BatchNorm1d(embedding_dim),
    )


def flatten_neck(channels: int, size: int, embedding_dim: int, dropout: float) -> nn.Sequential:
    """Build one linear map over all positions: C·h·w·D weights."""
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        Dropout(dropout),
        nn.Flatten(),
        nn.Linear(channels * size * size, embedding_dim, bias=False),
        nn.BatchNorm1d(embedding_dim),
    )


NECKS = {"flatten": flatten_neck, "pool": pool_neck}


class FaceModel(nn.Module):
    """Backbone and neck: (B, 3, 112, 112) in [-1, 1] -> embeddings (B, D), not normalized.

    Args:
        backbone: a name in BACKBONES.
        neck: `flatten` or `pool`.
        embedding_dim: D.
        dropout: share of the neck's inputs dropped in training, in [0, 1).

    Raises:
        ValueError: unknown backbone or neck.
    """

    def __init__(self, backbone: str, neck: str, embedding_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        if neck not in NECKS:
            raise ValueError(f"unknown neck {neck!r}: {nearest(neck, NECKS)}")
        self.backbone = build_backbone(backbone)
        channels, size = feature_shape(self.backbone)
        self.neck = NECKS[neck](channels, size, embedding_dim, dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.neck(self.backbone(x))


def feature_shape(backbone: nn.Sequential) -> tuple[int, int]:
    """Return (C, h) of the square feature map of a backbone for one 112x112 crop."""
    backbone.eval()  # or the probe would move the batch norms' running statistics
    with torch.no_grad():
        shape = backbone(torch.zeros(1, 3, CROP_SIZE, CROP_SIZE)).shape
    backbone.train()
    return shape[1], shape[2]


def build_model(recipe: Recipe) -> FaceModel:
    """Build the network of a recipe, with new weights and its regularizers."""
    model = FaceModel(recipe.backbone, recipe.neck, recipe.embedding_dim, recipe.dropout)
    model.neck[-1].bias.requires_grad_(recipe.neck_bias)  # it begins at zero (BNNeck, arXiv:1903.07071)
    if recipe.drop_block or recipe.stochastic_depth:
        insert_regularizers(
            model.backbone, recipe.drop_block, recipe.drop_block_size, recipe.stochastic_depth
        )
    return model


def embed_batches(model: FaceModel, batches: Iterable[np.ndarray], flip: bool = True) -> Iterator[np.ndarray]:
    """Embed uint8 crops (B, 112, 112, 3) batch by batch -> float32 (B, D), not normalized.

    With `flip`, the embedding of the mirrored crop is added: the usual test-time average of face papers.
    """
    device = next(model.parameters()).device
    model.eval()
    for crops in batches:
        with torch.inference_mode():
            x = to_tensor(torch.from_numpy(crops).to(device))  # as bytes, a quarter of float32's
            faces = IN_CACHE // (2 if flip else 1) if device.type == "cpu" else len(x)
            embeddings = torch.cat([_embed(model, part, flip) for part in x.split(faces)])
        yield embeddings.float().cpu().numpy()


def _embed(model: FaceModel, x: Tensor, flip: bool) -> Tensor:
    views = torch.cat([x, x.flip(3)]) if flip else x  # at once: one face alone leaves cores idle
    embeddings = model(views.contiguous(memory_format=torch.channels_last))
    return embeddings[: len(x)] + embeddings[len(x) :] if flip else embeddings


def embed_all(model: FaceModel, batches: Iterable[np.ndarray], flip: bool = True) -> np.ndarray:
    """Embed crops as `embed_batches` does and return one array: float32 (N, D), not normalized."""
    return np.concatenate(list(embed_batches(model, batches, flip)))


@torch.no_grad()
def class_logits(loss_fn: nn.Module, embeddings: np.ndarray) -> np.ndarray:
    """Compute (N, D) embeddings -> (N, K) float32 class scores, without margin, on the loss's device.

    Args:
        loss_fn: has `logits`; it is put into eval mode.
        embeddings: float32.
    """
    loss_fn.eval()
    device = next(loss_fn.parameters()).device
    return loss_fn.logits(torch.from_numpy(embeddings).to(device)).float().cpu().numpy()


def embed(model: FaceModel, crops: np.ndarray, flip: bool = True, batch_size: int = 128) -> np.ndarray:
    """Embed uint8 crops (N, 112, 112, 3) -> float32 (N, D), not normalized."""
    batches = (crops[i : i + batch_size] for i in range(0, len(crops), batch_size))
    return embed_all(model, batches, flip)
