"""A walk from one rendered identity to another, with the score along the way.

No set of photographs holds the people between two people; the renderer does. In the normal scores of the
draw, the way is an arc, so each step is as likely a person as its ends (`relative`). At each step the face is
compared with a photo of both ends in another pose.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from facelab.data.parametric import NUISANCE, crops, relative, sample_identities, typical, with_values
from facelab.metrics.verification import cosine
from facelab.models import checkpoint
from facelab.models.model import embed
from facelab.models.zoo import find_checkpoint

SEED, OTHER = 6, 5  # of the two identities
STEPS = 21  # from 0 to 1
ENROLLED, ALONG = {"yaw": -10.0, "smile": 0.0}, {"yaw": 6.0, "smile": 0.2}  # conditions of the photos


@dataclass(frozen=True, eq=False)
class Walk:
    """Hold the scores of one model along the way.

    Attributes:
        share: (S,) of the way, from 0 at A to 1 at B.
        a, b: (S,) cosine similarity of the face at each step with the photo of A, and of B.
    """

    share: np.ndarray
    a: np.ndarray
    b: np.ndarray


@functools.cache
def faces() -> tuple[np.ndarray, np.ndarray]:
    """Return (the photos of A and B, the faces along the way): (2, 112, 112, 3), (S, 112, 112, 3) uint8."""
    first = sample_identities(1, SEED)
    people = torch.cat([relative(first, share, OTHER) for share in np.linspace(0, 1, STEPS).tolist()])
    ends = torch.cat([people[:1], people[-1:]])
    return _photos(ends, ENROLLED), _photos(people, ALONG)


def _photos(people: torch.Tensor, conditions: dict[str, float]) -> np.ndarray:
    return crops(people, with_values(typical(NUISANCE, len(people)), NUISANCE, conditions)).numpy()


def walk(model: str) -> Walk:
    """Return the scores of a checkpoint along the way.

    Args:
        model: its name or path.

    Raises:
        ValueError: no such checkpoint.
    """
    path = find_checkpoint(model)
    return _walk(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=32)
def _walk(path: Path, modified: int) -> Walk:
    network = checkpoint.load(path)[0]
    ends, along = (embed(network, each) for each in faces())
    a, b = (cosine(along, np.repeat(end[None], STEPS, 0)) for end in ends)
    return Walk(np.linspace(0, 1, STEPS), a, b)
