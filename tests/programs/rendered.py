"""Print a digest of rendered faces before they are rounded to bytes: `rendered.py`, run with other math code.

The faces cover every part of the renderer: hair of all kinds, beards, freckles, glasses, hats, masks, poses,
light from all sides, blur, noise and compression, as crops and as portraits.
"""

import hashlib

import torch
from torch import Tensor

from facelab.data.parametric import (
    NUISANCE,
    crop_landmarks,
    relative,
    sample_identities,
    sample_nuisances,
    with_values,
)
from facelab.data.parametric.head import aligned_frame, portrait_frame
from facelab.data.parametric.render import draw
from facelab.data.parametric.shot import Values, take_shot

BATCH = 8


def faces() -> tuple[Tensor, Tensor]:
    """(40, K) people and (40, M) conditions."""
    identity, nuisance = sample_identities(40, 3), sample_nuisances(40, 4, 1.0)
    identity = torch.cat([identity[:32], relative(identity[32:], 0.4, 5)])
    worn = torch.arange(40)
    changes = {name: ((worn >> i) & 1).float() for i, name in enumerate(("glasses", "hat", "face_mask"))}
    return identity, with_values(nuisance, NUISANCE, changes)


def pictures() -> list[Tensor]:
    """float32 pictures in [0, 1], parameters and landmarks of the faces."""
    identity, nuisance = faces()
    drawn = [identity, nuisance, crop_landmarks(identity, nuisance)]
    numbers = torch.cat([identity, nuisance], dim=1).double()
    for start in range(0, len(numbers), BATCH):
        values = Values(numbers[start : start + BATCH])
        drawn.append(draw(take_shot(values, aligned_frame(values, 112))))
    values = Values(numbers[:BATCH])
    return [*drawn, draw(take_shot(values, portrait_frame(values, 240)))]


def digest() -> str:
    """One number for all bits."""
    bits = hashlib.sha256()
    for tensor in pictures():
        bits.update(tensor.contiguous().numpy().tobytes())
    return bits.hexdigest()[:16]


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(digest())
