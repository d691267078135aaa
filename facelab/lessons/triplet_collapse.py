"""Collapse of triplet loss, on a model small enough to watch: a run takes a few seconds.

With hard mining from the start, triplet loss can shrink all embeddings to one point, where its gradient is
zero and its value is the margin (Hermans et al., arXiv:1703.07737; FaceNet, arXiv:1503.03832, section 3.2).
Loss, mining and the collapse criterion are those of the real training. Simplified: photos are points of
overlapping normal clouds, and the network has three layers.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from facelab.data.files import replacing
from facelab.models.losses.batch import require
from facelab.models.losses.mining import (
    MINING,
    count_inversions,
    has_collapsed,
    l2_normalize,
    pair_masks,
    squared_distances,
)
from facelab.models.losses.pairs import Triplet
from facelab.models.seeding import Seeded
from facelab.models.zoo import CHECKPOINTS

FILE = CHECKPOINTS / "lessons" / "collapse.json"
PEOPLE, PHOTOS = 6, 8
INPUTS, WIDTH = 16, 32
MOMENTUM = 0.9
STEPS = 200
IN_A_ROW = 10  # steps that must look collapsed before it is called so


@dataclass(frozen=True)
class CollapseConfig:
    """Configuration of one run; the defaults collapse.

    Attributes:
        mining: a name in facelab.models.losses.mining.MINING.
        lr: learning rate > 0 of SGD with momentum 0.9.
        warmup: steps >= 0 of linear warm-up of the learning rate.
        margin: m > 0, on squared distances of unit vectors.
        seed: seed of clouds and initial weights.
    """

    mining: str = "hard"
    lr: float = 0.1
    warmup: int = 50
    margin: float = 0.2
    seed: int = 0


@dataclass(frozen=True, eq=False)
class CollapseState:
    """State that the page shows after some steps.

    Attributes:
        losses, spreads: values at every step so far; spread is the mean squared distance of unit embeddings,
            in [0, 2].
        embeddings: (48, 2) unit vectors, before the last of those steps.
        labels: (48,) int64, in [0, 6).
        ordered: share of pairs ranked correctly (AUC), in [0, 1]; chance level is 0.5.
        collapsed: whether `facelab.models.losses.mining.has_collapsed` has held for the last ten steps.
    """

    losses: tuple[float, ...]
    spreads: tuple[float, ...]
    embeddings: Tensor
    labels: Tensor
    ordered: float
    collapsed: bool


def clouds(seed: int) -> tuple[Tensor, Tensor]:
    """Draw (48, 16) points and (48,) labels: six people, eight photos each; the standard deviation within a
    person equals that of the centers.
    """
    generator = torch.Generator().manual_seed(seed)
    middles = torch.randn(PEOPLE, INPUTS, generator=generator)
    labels = torch.arange(PEOPLE).repeat_interleave(PHOTOS)
    return middles[labels] + torch.randn(len(labels), INPUTS, generator=generator), labels


def network(seed: int) -> nn.Sequential:
    """Build a network of 16 inputs and 2 outputs with two hidden layers, with PyTorch's initial weights for a
    seed.
    """
    sizes = (INPUTS, WIDTH, WIDTH, 2)
    with Seeded(seed):
        first, second, third = (nn.Linear(*pair, bias=False) for pair in itertools.pairwise(sizes))
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)


def learn(setting: CollapseConfig, steps: int = STEPS) -> Iterator[CollapseState]:
    """Train on one batch, all 48 points at every step; close the generator to stop.

    Raises:
        ValueError: a setting is out of range.
    """
    require(0 < setting.lr < float("inf"), "lr", setting.lr, "above 0")
    require(setting.warmup >= 0, "warmup", setting.warmup, "0, 1, 2, ... steps")
    points, labels = clouds(setting.seed)
    model, loss_fn = network(setting.seed), Triplet(2, PEOPLE, setting.margin, setting.mining)
    optimizer = torch.optim.SGD(model.parameters(), setting.lr, MOMENTUM)
    losses, spreads, stuck = [], [], 0
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = setting.lr * min(1.0, (step + 1) / max(1, setting.warmup))
        embeddings = model(points)
        loss = loss_fn(embeddings, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found = l2_normalize(embeddings.detach())
        distances = squared_distances(found)
        losses.append(loss.item())
        spreads.append(distances.mean().item())
        stuck = stuck + 1 if has_collapsed(found, losses[-1], setting.margin) else 0
        yield CollapseState(
            tuple(losses), tuple(spreads), found, labels, _ordered(distances, labels), stuck >= IN_A_ROW
        )


def count_collapses(seeds: int, path: Path = FILE) -> dict[str, int]:
    """Count the seeds that collapse for each mining, with default settings, and write the table as JSON.

    Takes a minute for 24 seeds on one core.
    """
    counts = dict.fromkeys(MINING, 0)
    for mining, seed in itertools.product(counts, range(seeds)):
        *_, last = learn(CollapseConfig(mining, seed=seed))
        counts[mining] += last.collapsed
    with replacing(path) as part:
        part.write_text(json.dumps({"seeds": seeds, "collapsed": counts}, indent=1) + "\n", encoding="utf-8")
    return counts


def collapses(path: Path = FILE) -> tuple[int, dict[str, int]]:
    """Return (number of seeds, collapsed runs by mining) of the shipped table; (0, {}) without it."""
    if not path.is_file():
        return 0, {}
    table = json.loads(path.read_text(encoding="utf-8"))
    return table["seeds"], table["collapsed"]


def _ordered(distances: Tensor, labels: Tensor) -> float:
    """Return the area under the ROC curve of all pairs: the share of cases in which the impostor pair lies
    farther apart.
    """
    genuine, impostor = (distances[mask] for mask in pair_masks(labels))
    farther, _ = count_inversions(impostor, genuine)
    return (farther.sum() / (len(genuine) * len(impostor))).item()
