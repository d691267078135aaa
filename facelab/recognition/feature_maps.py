"""Feature maps of one face between the named stages of a network.

Early maps respond to edges and colors and preserve the face's outline; late maps are small, and the receptive
field of each value covers a large part of the crop (Zeiler and Fergus 2013, arXiv:1311.2901). A backbone is a
sequence of named stages, so one loop works for every family.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from facelab.models.backbones.describe import Field, see
from facelab.photos.faces import CROP_SIZE, to_tensor
from facelab.recognition.visit import network_of


@dataclass(frozen=True, eq=False)
class StageMaps:
    """Output of one stage for one crop.

    Attributes:
        name: name of the stage.
        maps: (C, h, w) float32.
        receptive_field: side in pixels of the square that influences one value through convolutions and
            pooling; it can exceed the crop.
    """

    name: str
    maps: np.ndarray
    receptive_field: int


def feature_maps(backbone: nn.Sequential, crop: np.ndarray) -> list[StageMaps]:
    """Return the maps after every named stage of a backbone, in order.

    Args:
        backbone: named stages; set to eval mode.
        crop: (112, 112, 3) uint8.

    Raises:
        ValueError: the crop has another shape.
    """
    if crop.shape != (CROP_SIZE, CROP_SIZE, 3):
        raise ValueError(f"a crop has shape {crop.shape}; it must be ({CROP_SIZE}, {CROP_SIZE}, 3)")
    backbone.eval()
    x, field, found = to_tensor(crop[None]), Field(), []
    with torch.inference_mode():
        for name, stage in backbone.named_children():
            x, field = stage(x), see(stage, field)
            kept = x[0].numpy().copy()  # the next stage may work in place
            found.append(StageMaps(name, kept, field.high - field.low + 1))
    return found


def maps_of(model: str, crop: np.ndarray) -> list[StageMaps]:
    """Return `feature_maps` of a checkpoint's trained network, or of a model of this visit.

    Raises:
        ValueError: no such checkpoint, or the crop has another shape.
    """
    return feature_maps(network_of(model).backbone, crop)


def strongest(maps: np.ndarray, count: int) -> np.ndarray:
    """Return indices of the channels of (C, h, w) that vary most over the face, largest variance first."""
    return np.argsort(-maps.std((1, 2)), kind="stable")[:count]


def correlation_with_neighbors(maps: np.ndarray) -> float:
    """Return the correlation of neighboring values of (C, h, w) within a channel, -1 to 1, averaged over the
    channels that vary; NaN where none does, or a map has one position only.
    """
    values = maps - maps.mean((1, 2), keepdims=True)
    pairs = [(values[:, 1:], values[:, :-1]), (values[:, :, 1:], values[:, :, :-1])]
    a = np.concatenate([first.reshape(len(maps), -1) for first, _ in pairs], 1)
    b = np.concatenate([second.reshape(len(maps), -1) for _, second in pairs], 1)
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    varying = scale > 1e-12
    return float(((a * b).sum(1)[varying] / scale[varying]).mean()) if varying.any() else float("nan")
