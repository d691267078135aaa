"""Family tree of the backbones, with the cost and results of each.

A row of BACKBONES names its parent and its one change, so the table is a family tree. Costs are exact counts
by `facelab.models.backbones.describe`, which takes a second per network; they are stored in a small file, and
a test compares them with the networks. Latency depends on the machine and is measured on request.
"""

import functools
import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from facelab.data.files import replacing
from facelab.evaluation import results as measured
from facelab.models.backbones import BACKBONES, build_backbone, describe
from facelab.models.losses import build_loss
from facelab.models.model import NECKS
from facelab.models.names import nearest
from facelab.models.zoo import CHECKPOINTS
from facelab.photos.faces import CROP_SIZE

COSTS = CHECKPOINTS / "lessons" / "architectures.json"
LIMIT = 30_000_000  # parameters that the homework allows
TEST = "lfw_view2"
REPEATS = 9  # timed runs, after one to warm up


@dataclass(frozen=True)
class Paper:
    """A node of the family tree.

    Attributes:
        label: the family, with the year where it has several papers.
        year: year of the paper.
        idea: its idea in one sentence.
        members: rows of BACKBONES.
        parent: label of the paper that it modifies, None for the first.
        change: how it differs from its parent, in one sentence.
    """

    label: str
    year: int
    idea: str
    members: tuple[str, ...]
    parent: str | None
    change: str


@dataclass(frozen=True)
class Cost:
    """Hold the cost of a backbone for one 112x112 crop, without neck or head.

    Attributes:
        parameters: learned values.
        macs: MACs.
        activation_bytes: activation memory per crop in training.
        receptive_field: side in pixels of the square that influences one value of the last map; can exceed
            the crop.
        shape: (C, h, w) of the last map.
    """

    parameters: int
    macs: int
    activation_bytes: int
    receptive_field: int
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Score:
    """Hold a training's result on LFW's 6,000 pairs.

    Attributes:
        name: name of recipe and checkpoint.
        accuracy: in [0, 1].
        loss: the loss as in its recipe.
        epochs: passes over the photos.
        equal: whether it used the training that is the same for all networks, so that they can be compared.
    """

    name: str
    accuracy: float
    loss: str
    epochs: int
    equal: bool


@dataclass(frozen=True)
class Budget:
    """Parameters of a whole network in training: backbone, neck, and the classifier's head."""

    backbone: int
    neck: int
    head: int

    @property
    def total(self) -> int:
        """Return the number that the homework limits."""
        return self.backbone + self.neck + self.head


@functools.cache
def papers() -> dict[str, Paper]:
    """Return every paper by label, in the order of the table, which is historical."""
    members: dict[str, list[str]] = {}
    for name, row in BACKBONES.items():
        members.setdefault(row.paper, []).append(name)
    families = [BACKBONES[names[0]].family for names in members.values()]
    labels = {}
    for url, names in members.items():
        row = BACKBONES[names[0]]
        labels[url] = row.family if families.count(row.family) == 1 else f"{row.family} ({row.year})"
    found = {}
    for url, names in members.items():
        row = BACKBONES[names[0]]
        parent = labels[BACKBONES[row.parent].paper] if row.parent else None
        found[labels[url]] = Paper(labels[url], row.year, row.idea, tuple(names), parent, row.change)
    return found


def paper_of(name: str) -> Paper:
    """Return the paper of a row of BACKBONES.

    Raises:
        ValueError: no such row.
    """
    _check_name(name)
    return next(paper for paper in papers().values() if name in paper.members)


def lineage(label: str) -> tuple[str, ...]:
    """Return labels from the first paper down to this one."""
    parent = papers()[label].parent
    return (*(lineage(parent) if parent else ()), label)


def lanes() -> dict[str, int]:
    """Return a lane for each paper as in a list of folders: below its parent, the latest subtree last."""
    order: list[str] = []

    def visit(parent: str | None) -> None:
        children = [paper for paper in papers().values() if paper.parent == parent]
        for paper in sorted(children, key=lambda paper: paper.year):
            order.append(paper.label)
            visit(paper.label)

    visit(None)
    return {label: lane for lane, label in enumerate(order)}


def measure_cost(name: str) -> Cost:
    """Count one backbone.

    Raises:
        ValueError: no such backbone.
    """
    found = describe.describe(name, CROP_SIZE)
    return Cost(
        found.parameters,
        found.macs,
        found.activation_bytes,
        found.receptive_field,
        found.stages[-1].shape,
    )


def write_costs(path: Path = COSTS) -> None:
    """Count all backbones and write the result to a file, one line per network."""
    rows = (f'"{name}": {json.dumps(asdict(measure_cost(name)))}' for name in BACKBONES)
    with replacing(path) as part:
        part.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


@functools.cache
def costs(path: Path = COSTS) -> dict[str, Cost]:
    """Return every backbone's cost by name, from the file; a network that is not in it is counted now."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {
        name: Cost(**kept[name] | {"shape": tuple(kept[name]["shape"])})
        if name in kept
        else measure_cost(name)
        for name in BACKBONES
    }


def scores() -> dict[str, tuple[Score, ...]]:
    """Return the results on LFW, by backbone, without untrained ones.

    The training that is the same for all comes first, then the others, best first.
    """
    found: dict[str, list[Score]] = {}
    for name, header in measured.headers().items():
        if TEST in header.metrics:
            recipe = header.recipe
            equal = measured.is_equal_training(recipe)
            score = Score(name, header.metrics[TEST]["accuracy"], recipe.loss, recipe.epochs, equal)
            found.setdefault(recipe.backbone, []).append(score)
    return {
        name: tuple(sorted(rows, key=lambda score: (not score.equal, -score.accuracy)))
        for name, rows in found.items()
    }


def budget(name: str, neck: str, embedding_dim: int, classes: int) -> Budget:
    """Count the parameters of backbone, neck and softmax head on the modules themselves.

    Args:
        name: in BACKBONES.
        neck: in NECKS.
        embedding_dim: D.
        classes: K classes of the head.

    Raises:
        ValueError: no such backbone or neck, or a size below 1.
    """
    _check_name(name)
    if neck not in NECKS:
        raise ValueError(f"unknown neck {neck!r}: {nearest(neck, NECKS)}")
    if embedding_dim < 1 or classes < 1:
        raise ValueError(f"embedding and classes are {embedding_dim} and {classes}; both must be 1 or more")
    cost = costs()[name]
    with torch.device("meta"):
        parts = (
            NECKS[neck](cost.shape[0], cost.shape[1], embedding_dim, 0.0),
            build_loss("softmax", embedding_dim, classes, {}),
        )
    counted = (sum(parameter.numel() for parameter in part.parameters()) for part in parts)
    return Budget(cost.parameters, *counted)


@torch.inference_mode()
def latency(name: str, repeats: int = REPEATS) -> float:
    """Measure the milliseconds that a backbone with new weights takes for one crop on this machine.

    It is the median of several runs on the CPU with PyTorch's number of threads; other programs on the
    machine affect it.

    Raises:
        ValueError: no such backbone.
    """
    backbone = build_backbone(name).eval().to(memory_format=torch.channels_last)
    crop = torch.zeros(1, 3, CROP_SIZE, CROP_SIZE).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        backbone(crop)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times[1:])


def _check_name(name: str) -> None:
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}: {nearest(name, BACKBONES)}")
